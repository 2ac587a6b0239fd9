//! Commands that make requests of what else people have: they are printed for the user's shell and never run here.

use crate::dialects::{Commands, Table};

/// From lines that are no requests.
pub(super) const OF_LINES: Commands = Commands {
    of_messages: r#"jq -cn 'foreach inputs as $row (0; . + 1; {custom_id: ($row.custom_id // "row-\(.)"), params: ({model: "claude-haiku-4-5", max_tokens: 1024} + $row + ([$row.messages[] | select(.role == "system") | .content] | if . == [] then {} else {system: join("\n")} end) | del(.custom_id) | .messages |= (map(select(.role != "system")) | if .[-1].role == "assistant" then .[:-1] else . end))})'"#,
    of_gemini: r#"jq -c '{custom_id: .key, params: ({model: "claude-haiku-4-5", max_tokens: 1024, messages: [.request.contents[] | {role: (if .role == "model" then "assistant" else "user" end), content: ([.parts[].text] | join(""))}]} + (.request | .systemInstruction // .system_instruction // null | if . then {system: ([.parts[].text] | join(""))} else {} end))}'"#,
};

/// From a table.
pub(super) fn of_table(table: &Table) -> String {
    let Table { delimiter, column } = table;
    let delimiter = delimiter.escape_default();
    format!(
        r#"python3 -c 'import csv, json, sys; [print(json.dumps({{"custom_id": f"row-{{n}}", "params": {{"model": "claude-haiku-4-5", "max_tokens": 1024, "messages": [{{"role": "user", "content": row[{column}]}}]}}}})) for n, row in enumerate(csv.reader(open((sys.argv + [0])[1], encoding="utf-8-sig", newline=""), delimiter="{delimiter}")) if n and row]'"#
    )
}
