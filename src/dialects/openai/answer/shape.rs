//! Which list an endpoint's answer must have.

/// The list that an answer's body has, where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shape {
    /// `choices`: chat and text completions.
    Choices,
    /// `output`: responses.
    Output,
    /// `data`: embeddings and images.
    Data,
    /// `results`: moderations.
    Results,
    /// Unknown: any body that is not empty is an answer.
    #[default]
    Unknown,
}

impl Shape {
    /// The shape of the answers of an endpoint, if it is known.
    pub(super) fn of(endpoint: Option<&str>) -> Self {
        endpoint.map(Self::of_endpoint).unwrap_or_default()
    }

    /// The shape of an endpoint's answers, with or without `/v1` or an address before it.
    fn of_endpoint(endpoint: &str) -> Self {
        let path = endpoint.trim_end_matches('/');
        match path.rsplit('/').next().unwrap_or_default() {
            "completions" => Self::Choices,
            "responses" => Self::Output,
            "embeddings" => Self::Data,
            "moderations" => Self::Results,
            _ if path.contains("/images/") => Self::Data,
            _ => Self::Unknown,
        }
    }

    /// The shape that a body says it has in `object`.
    pub(super) fn of_object(object: &str) -> Self {
        match object {
            "chat.completion" | "text_completion" => Self::Choices,
            "response" => Self::Output,
            "list" => Self::Data,
            _ => Self::Unknown,
        }
    }

    /// This shape, or the other one where nobody knows.
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Unknown { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn endpoints_have_shapes() {
        for (endpoint, shape) in [
            ("/v1/chat/completions", Shape::Choices),
            ("/chat/completions", Shape::Choices),
            ("/v1/completions", Shape::Choices),
            ("/openai/v1/responses/", Shape::Output),
            ("/v1/embeddings", Shape::Data),
            ("/v1/images/generations", Shape::Data),
            ("/v1/images/edits", Shape::Data),
            ("/v1/chat/moderations", Shape::Results),
            ("/v1/ocr", Shape::Unknown),
            ("", Shape::Unknown),
        ] {
            assert_eq!(Shape::of_endpoint(endpoint), shape, "{endpoint}");
        }
    }
}
