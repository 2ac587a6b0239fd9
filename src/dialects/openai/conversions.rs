//! Commands that make requests of what else people have: they are printed for the user's shell and never run here.

use crate::dialects::{Commands, Table};

/// From lines that are no requests.
pub(super) const OF_LINES: Commands = Commands {
    of_messages: r#"jq -cn 'foreach inputs as $row (0; . + 1; {custom_id: ($row.custom_id // "row-\(.)"), method: "POST", url: "/v1/chat/completions", body: ({model: "gpt-4.1-mini"} + $row | del(.custom_id, .method, .url) | .messages |= if .[-1].role == "assistant" then .[:-1] else . end)})'"#,
    of_gemini: r#"jq -c '{custom_id: .key, method: "POST", url: "/v1/chat/completions", body: {model: "gpt-4.1-mini", messages: [(.request | .systemInstruction // .system_instruction // empty | {role: "system", content: ([.parts[].text] | join(""))}), (.request.contents[] | {role: (if .role == "model" then "assistant" else "user" end), content: ([.parts[].text] | join(""))})]}}'"#,
};

/// From lines with an id and a body only, as Mistral's are.
pub(super) const OF_BODIES: &str = r#"jq -c '. + {method: "POST", url: "/v1/chat/completions"}'"#;

/// From a table.
pub(super) fn of_table(table: &Table) -> String {
    let Table { delimiter, column } = table;
    let delimiter = delimiter.escape_default();
    format!(
        r#"python3 -c 'import csv, json, sys; [print(json.dumps({{"custom_id": f"row-{{n}}", "method": "POST", "url": "/v1/chat/completions", "body": {{"model": "gpt-4.1-mini", "messages": [{{"role": "user", "content": row[{column}]}}]}}}})) for n, row in enumerate(csv.reader(open((sys.argv + [0])[1], encoding="utf-8-sig", newline=""), delimiter="{delimiter}")) if n and row]'"#
    )
}
