//! The endpoints that OpenAI takes batches for, and what a request to each
//! must hold.
//!
//! Compatible servers know others; nothing here says that those are wrong.

use crate::dialects::Endpoints;

/// A part of the body that holds what the model works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// `messages`, an array that is not empty.
    Messages,
    /// `input`.
    Input,
    /// `prompt`.
    Prompt,
    /// `image`.
    Image,
    /// `images`.
    Images,
}

impl Content {
    /// Where it stands in a request.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Messages => "body.messages",
            Self::Input => "body.input",
            Self::Prompt => "body.prompt",
            Self::Image => "body.image",
            Self::Images => "body.images",
        }
    }
}

/// Whether a request must name its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// It must.
    Required,
    /// The endpoint has one of its own.
    Optional,
    /// It must, unless it is made from a stored prompt, which names one.
    RequiredWithoutPrompt,
}

/// An endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Its path, as the `url` of a request.
    pub(super) path: &'static str,
    /// What a body must hold: of each list one.
    pub(super) needs: &'static [&'static [Content]],
    /// Whether a body must name its model.
    pub(super) model: Model,
}

/// What an endpoint does, as its path ends: compatible servers put other things before that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It answers messages.
    Chat,
    /// It answers an input.
    Responses,
    /// It continues a prompt.
    Completions,
    /// It embeds an input.
    Embeddings,
    /// It judges an input.
    Moderations,
    /// It makes images or videos, or nothing that is known here.
    Other,
}

impl Kind {
    /// What an endpoint does.
    pub(super) fn of(path: &str) -> Self {
        let ends = |end: &str| path.trim_end_matches('/').ends_with(end);
        match () {
            () if ends("/chat/completions") => Self::Chat,
            () if ends("/responses") => Self::Responses,
            () if ends("/completions") => Self::Completions,
            () if ends("/embeddings") => Self::Embeddings,
            () if ends("/moderations") => Self::Moderations,
            () => Self::Other,
        }
    }
}

/// Whose inputs are counted, and limited, across requests.
pub(super) const EMBEDDINGS: &str = "/v1/embeddings";

/// The endpoints, in the order of OpenAI's documentation. Where a model is optional is from its `openapi.yaml`
/// (2026-08).
pub(super) const KNOWN: [Endpoint; 8] = [
    Endpoint {
        path: "/v1/responses",
        needs: &[&[Content::Input, Content::Prompt]],
        model: Model::RequiredWithoutPrompt,
    },
    Endpoint { path: "/v1/chat/completions", needs: &[&[Content::Messages]], model: Model::Required },
    Endpoint { path: EMBEDDINGS, needs: &[&[Content::Input]], model: Model::Required },
    Endpoint { path: "/v1/completions", needs: &[&[Content::Prompt]], model: Model::Required },
    Endpoint { path: "/v1/moderations", needs: &[&[Content::Input]], model: Model::Optional },
    Endpoint { path: "/v1/images/generations", needs: &[&[Content::Prompt]], model: Model::Optional },
    Endpoint {
        path: "/v1/images/edits",
        needs: &[&[Content::Prompt], &[Content::Image, Content::Images]],
        model: Model::Optional,
    },
    Endpoint { path: "/v1/videos", needs: &[&[Content::Prompt]], model: Model::Optional },
];

/// The endpoint with this path.
pub(super) fn find(path: &str) -> Option<&'static Endpoint> {
    KNOWN.iter().find(|endpoint| endpoint.path == path)
}

/// Whether a vendor of these endpoints takes batches for this path, as far as is known.
pub(super) fn allows(endpoints: Endpoints, path: &str) -> bool {
    endpoints == Endpoints::Any || find(path).is_some()
}

/// What to do about a path that no endpoint has.
pub(super) fn advice(path: &str) -> String {
    nearest(path).map_or_else(|| format!("use one of {}", all()), |near| format!("write `{near}`"))
}

/// Every path, for a sentence.
fn all() -> String {
    KNOWN.map(|endpoint| format!("`{}`", endpoint.path)).join(", ")
}

/// The endpoint that `path` most likely means: it is written with the host,
/// without `/v1`, with a slash behind it, or with a letter or two wrong.
fn nearest(path: &str) -> Option<&'static str> {
    let path = format!("/{}", path.trim_matches('/').to_ascii_lowercase());
    let tail = |known: &str| known.trim_start_matches("/v1").len();
    let paths = KNOWN.iter().map(|endpoint| endpoint.path);
    let ending = paths
        .clone()
        .filter(|known| path.ends_with(&known[known.len() - tail(known)..]))
        .max_by_key(|known| known.len());
    // A path too long to be close to any is not measured.
    let near = paths.filter(|known| path.len() <= 2 * known.len());
    let close = || near.map(|known| (strsim::levenshtein(&path, known), known)).min().filter(|(steps, _)| *steps <= 3);
    ending.or_else(|| close().map(|(_, known)| known))
}

#[cfg(test)]
mod tests {
    use super::{advice, find, nearest};

    #[test]
    fn a_wrong_path_leads_to_the_one_that_was_meant() {
        for (path, meant) in [
            ("/chat/completions", "/v1/chat/completions"),
            ("chat/completions", "/v1/chat/completions"),
            ("/v1/chat/completions/", "/v1/chat/completions"),
            ("https://api.openai.com/v1/chat/completions", "/v1/chat/completions"),
            ("/v1/completion", "/v1/completions"),
            ("/V1/Embeddings", "/v1/embeddings"),
            ("/v1/response", "/v1/responses"),
        ] {
            assert_eq!(nearest(path), Some(meant), "{path}");
        }
        assert_eq!(nearest("/v1/rerank"), None);
        assert_eq!(nearest(&"x".repeat(1_000_000)), None);
    }

    #[test]
    fn without_a_near_one_all_are_named() {
        assert!(find("/v1/rerank").is_none());
        assert!(advice("/v1/rerank").starts_with("use one of `/v1/responses`, `/v1/chat/completions`, "));
    }
}
