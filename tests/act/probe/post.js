'use strict';
const state = Object.entries(process.env).filter(([name]) => name.startsWith('STATE_'));
console.log(JSON.stringify(Object.fromEntries(state.map(([name, value]) => [name.slice(6), value]))));
