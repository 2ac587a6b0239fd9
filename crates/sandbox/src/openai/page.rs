//! The pages that OpenAI's lists come in.

use serde_json::{Value, json};

use crate::api::Query;
use crate::refusal::Refusal;

/// How a list is cut into pages.
pub(super) struct Cut {
    pub(super) usual: usize,
    pub(super) most: usize,
    /// The refusal where `after` names nothing.
    pub(super) unknown: fn(&str) -> Refusal,
}

impl Cut {
    /// The page that the query asks for. Only what is on it becomes JSON.
    pub(super) fn page<T>(
        &self,
        items: Vec<T>,
        query: Query<'_>,
        id: impl Fn(&T) -> &str,
        show: impl Fn(&T) -> Value,
    ) -> Result<Value, Refusal> {
        let limit = limit(query, self.usual, self.most)?;
        let start = match query.get("after") {
            None => 0,
            Some(after) => items.iter().position(|item| id(item) == after).ok_or_else(|| (self.unknown)(after))? + 1,
        };
        let page: Vec<&T> = items.iter().skip(start).take(limit).collect();
        let has_more = items.len() > start + page.len();
        Ok(json!({
            "object": "list",
            "data": page.iter().map(|item| show(item)).collect::<Value>(),
            "first_id": page.first().map(|item| id(item)),
            "last_id": page.last().map(|item| id(item)),
            "has_more": has_more,
        }))
    }
}

/// `limit`, from 1 to `most`.
fn limit(query: Query<'_>, usual: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = query.get("limit") else { return Ok(usual) };
    let number: i64 = text.parse().map_err(|_| {
        let message = format!("Invalid type for 'limit': expected an integer, but got '{text}' instead.");
        Refusal::field("limit", "invalid_type", message)
    })?;
    let outside = |code: &str, side: &str, bound: String| {
        let message =
            format!("Invalid 'limit': integer {side} value. Expected a value {bound}, but got {number} instead.");
        Refusal::field("limit", code, message)
    };
    match usize::try_from(number) {
        Err(_) | Ok(0) => Err(outside("integer_below_min_value", "below minimum", ">= 1".to_owned())),
        Ok(limit) if limit > most => Err(outside("integer_above_max_value", "above maximum", format!("<= {most}"))),
        Ok(limit) => Ok(limit),
    }
}
#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Cut, Query, Refusal};

    fn page(query: &str) -> Result<Value, Refusal> {
        let items: Vec<String> = (0..5).map(|i| format!("b{i}")).collect();
        let cut = Cut { usual: 3, most: 4, unknown: Refusal::no_batch };
        cut.page(items, Query(query), String::as_str, |id| json!(id))
    }

    #[test]
    fn pages_follow_each_other() {
        let first = page("").unwrap();
        assert_eq!((&first["data"], &first["has_more"]), (&json!(["b0", "b1", "b2"]), &json!(true)));
        let last = page("limit=2&after=b2").unwrap();
        assert_eq!((&last["data"], &last["has_more"]), (&json!(["b3", "b4"]), &json!(false)));
        assert_eq!((&last["first_id"], &last["last_id"]), (&json!("b3"), &json!("b4")));
        assert!(page("after=b4").unwrap()["first_id"].is_null());
    }

    #[test]
    fn limits_have_limits() {
        let code = |query| page(query).unwrap_err().code.unwrap_or_default();
        assert_eq!(code("limit=0"), "integer_below_min_value");
        assert_eq!(code("limit=5"), "integer_above_max_value");
        assert_eq!(code("limit=x"), "invalid_type");
        assert_eq!(page("after=b9").unwrap_err().status, 404);
    }
}
