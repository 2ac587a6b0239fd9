//! The pages that Anthropic's list comes in: newest first, with a cursor in either direction.

use serde_json::{Value, json};

use super::refusal::{no_batch, refuse};
use crate::api::Query;
use crate::refusal::Refusal;

/// Where the pages of a list begin.
enum Cursor {
    Newest,
    /// Older than the item at this position.
    After(usize),
    /// Newer than the item at this position.
    Before(usize),
}

/// The page that the query asks for. Only what is on it becomes JSON.
pub(super) fn page<T>(
    items: &[T],
    query: Query<'_>,
    id: impl Fn(&T) -> &str,
    show: impl Fn(&T) -> Value,
) -> Result<Value, Refusal> {
    let limit = limit(query)?;
    let place = |wanted: &str| items.iter().position(|item| id(item) == wanted).ok_or_else(|| no_batch(wanted));
    let cursor = match (query.get("after_id"), query.get("before_id")) {
        (None, None) => Cursor::Newest,
        (Some(after), None) => Cursor::After(place(after)?),
        (None, Some(before)) => Cursor::Before(place(before)?),
        (Some(_), Some(_)) => return Err(refuse(400, "Only one of after_id and before_id can be given")),
    };
    let (page, has_more) = match cursor {
        Cursor::Newest => (&items[..limit.min(items.len())], items.len() > limit),
        Cursor::After(at) => {
            let rest = &items[at + 1..];
            (&rest[..limit.min(rest.len())], rest.len() > limit)
        }
        Cursor::Before(at) => (&items[at.saturating_sub(limit)..at], at > limit),
    };
    Ok(json!({
        "data": page.iter().map(show).collect::<Value>(),
        "has_more": has_more,
        "first_id": page.first().map(&id),
        "last_id": page.last().map(&id),
    }))
}

/// `limit`, from 1 to 1000.
fn limit(query: Query<'_>) -> Result<usize, Refusal> {
    let Some(text) = query.get("limit") else { return Ok(20) };
    let number = text.parse::<usize>().ok().filter(|limit| (1..=1000).contains(limit));
    number.ok_or_else(|| refuse(400, "limit: Input should be a whole number from 1 to 1000"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Query, Refusal, page};

    fn seen(query: &str) -> Result<Value, Refusal> {
        let items: Vec<String> = (0..5).map(|i| format!("b{i}")).collect();
        page(&items, Query(query), String::as_str, |id| json!(id))
    }

    #[test]
    fn pages_follow_each_other_in_both_directions() {
        for (query, data, has_more) in [
            ("", json!(["b0", "b1", "b2", "b3", "b4"]), false),
            ("limit=2", json!(["b0", "b1"]), true),
            ("limit=2&after_id=b1", json!(["b2", "b3"]), true),
            ("limit=2&after_id=b2", json!(["b3", "b4"]), false),
            ("limit=2&before_id=b4", json!(["b2", "b3"]), true),
            ("limit=2&before_id=b2", json!(["b0", "b1"]), false),
            ("after_id=b4", json!([]), false),
        ] {
            let page = seen(query).unwrap();
            assert_eq!((&page["data"], &page["has_more"]), (&data, &json!(has_more)), "{query}");
            assert_eq!(page["first_id"], *data.get(0).unwrap_or(&Value::Null), "{query}");
        }
        for query in ["limit=0", "limit=1001", "limit=x", "after_id=b1&before_id=b3"] {
            assert_eq!(seen(query).unwrap_err().status, 400, "{query}");
        }
        assert_eq!(seen("after_id=b9").unwrap_err().status, 404);
    }
}
