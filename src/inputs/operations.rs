//! The API's operations as commands: what each takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Connection;
use crate::values::{self, Field, Pair};

/// The API's batch operations.
#[derive(Debug, Subcommand)]
pub enum Batch {
    /// Create a batch over an uploaded file.
    Create(Box<CreateBatch>),
    /// Read a batch.
    Get(OneBatch),
    /// Cancel a batch.
    Cancel(OneBatch),
    /// List batches, newest first.
    List(ListBatches),
}

/// What `batch create` takes.
#[derive(Debug, Args)]
pub struct CreateBatch {
    /// The uploaded file.
    #[arg(value_name = "FILE_ID", value_parser = values::id)]
    pub file_id: String,
    /// The endpoint of its requests, as `/v1/chat/completions`.
    #[arg(long, value_name = "PATH")]
    pub endpoint: String,
    /// How long the provider may take [default: 24h].
    #[arg(long, value_name = "WINDOW")]
    pub completion_window: Option<String>,
    /// Metadata, as `key=value`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Pair>,
    /// Let the output file expire after this time, `1h` to `30days`.
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub output_expires_after: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `batch get` and `batch cancel` take.
#[derive(Debug, Args)]
pub struct OneBatch {
    /// The batch.
    #[arg(value_name = "BATCH_ID", value_parser = values::id)]
    pub batch_id: String,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `batch list` takes.
#[derive(Debug, Args)]
pub struct ListBatches {
    /// How many, 1 to 100 [default: 20].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: Option<u64>,
    /// Only those after this batch in the list.
    #[arg(long, value_name = "BATCH_ID")]
    pub after: Option<String>,
    /// A table of those that batchstep made in the last thirty days: repository, run, key, age and counts [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub ours: Option<bool>,
    /// With `ours`, JSON instead of a table [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub json: Option<bool>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// The API's file operations.
#[derive(Debug, Subcommand)]
pub enum File {
    /// Upload a requests file.
    Upload(UploadFile),
    /// Read a file's object.
    Get(OneFile),
    /// Download a file's bytes.
    Content(FileContent),
    /// Delete a file.
    Delete(OneFile),
}

/// What `file upload` takes.
#[derive(Debug, Args)]
pub struct UploadFile {
    /// The file to upload; `-` is standard input.
    #[arg(value_name = "PATH")]
    pub path: String,
    /// The name it gets, ending in `.jsonl` [default: the file's own].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The purpose that it is uploaded with [default: batch].
    #[arg(long, value_name = "PURPOSE")]
    pub upload_purpose: Option<String>,
    /// More form fields, as `name=value`.
    #[arg(long, value_name = "NAME=VALUE")]
    pub upload_fields: Vec<Field>,
    /// Let it expire after this time, `1h` to `30days`.
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub expires_after: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `file get` and `file delete` take.
#[derive(Debug, Args)]
pub struct OneFile {
    /// The file.
    #[arg(value_name = "FILE_ID", value_parser = values::id)]
    pub file_id: String,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `file content` takes.
#[derive(Debug, Args)]
pub struct FileContent {
    /// The file.
    #[arg(value_name = "FILE_ID", value_parser = values::id)]
    pub file_id: String,
    /// Where to write it. `-` is standard output, for a pipe: never let it run into a CI log, which may obey it.
    #[arg(long, value_name = "PATH")]
    pub output: PathBuf,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}
