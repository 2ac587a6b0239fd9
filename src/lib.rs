//! batchstep runs OpenAI-style Batch API jobs as one step of a CI workflow.

// The flow.
pub mod ids;
pub mod outgoing;
pub mod places;
pub mod report;
pub mod requests;
pub mod results;
pub mod source;
// What the flow is made of.
mod answer;
mod endpoints;
mod failures;
mod fault;
mod lines;
mod loose;
mod pass;
mod row;
mod slots;
mod tail;
// The seams.
pub mod clock;
pub mod effects;
pub mod env;
pub mod error;
pub mod events;
pub mod values;
pub mod wire;
// The families.
pub mod formats;
pub mod hosts;
pub mod sandbox;
