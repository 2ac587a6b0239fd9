//! The API's operations as commands: what each takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{Connection, examples};
use crate::values::{self, Field, Pair};

/// The API's batch operations.
#[derive(Debug, Subcommand)]
pub enum Batch {
    /// Create a batch from an uploaded file.
    #[command(after_help = examples::BATCH_CREATE)]
    Create(Box<CreateBatch>),
    /// Show a batch.
    #[command(after_help = examples::BATCH_GET)]
    Get(OneBatch),
    /// Cancel a batch.
    #[command(after_help = examples::BATCH_CANCEL)]
    Cancel(OneBatch),
    /// List batches, newest first.
    #[command(after_help = examples::BATCH_LIST)]
    List(ListBatches),
}

/// What `batch create` takes.
#[derive(Debug, Args)]
pub struct CreateBatch {
    /// The id of the uploaded file.
    #[arg(value_name = "FILE_ID", value_parser = values::id)]
    pub file_id: String,
    /// The endpoint of the requests, such as `/v1/chat/completions`.
    #[arg(long, value_name = "PATH")]
    pub endpoint: String,
    /// How long the provider may take to answer [default: 24h].
    #[arg(long, value_name = "WINDOW")]
    pub completion_window: Option<String>,
    /// Metadata for the batch, as `key=value`; up to sixteen, one per flag.
    #[arg(long, value_name = "KEY=VALUE")]
    pub metadata: Vec<Pair>,
    /// Expire the output file after this time, `1h` to `30days`.
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub output_expires_after: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `batch get` and `batch cancel` take.
#[derive(Debug, Args)]
pub struct OneBatch {
    /// The batch's id.
    #[arg(value_name = "BATCH_ID", value_parser = values::id)]
    pub batch_id: String,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `batch list` takes.
#[derive(Debug, Args)]
pub struct ListBatches {
    /// How many batches to list, 1 to 100 [default: 20].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: Option<u64>,
    /// List only the batches that follow this one in the list, which are older.
    #[arg(long, value_name = "BATCH_ID")]
    pub after: Option<String>,
    /// Show a table of the batches that batchstep created in the last thirty days: repository, run, key, age and counts [default: false].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = values::boolean)]
    pub ours: Option<bool>,
    /// With `ours`, print JSON instead of a table [default: false].
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
    #[command(after_help = examples::FILE_UPLOAD)]
    Upload(UploadFile),
    /// Show a file's metadata.
    #[command(after_help = examples::FILE_GET)]
    Get(OneFile),
    /// Download a file's content.
    #[command(after_help = examples::FILE_CONTENT)]
    Content(FileContent),
    /// Delete a file.
    #[command(after_help = examples::FILE_DELETE)]
    Delete(OneFile),
}

/// What `file upload` takes.
#[derive(Debug, Args)]
pub struct UploadFile {
    /// The file to upload; `-` is standard input.
    #[arg(value_name = "PATH")]
    pub path: String,
    /// The name of the uploaded file, ending in `.jsonl` [default: the file's own].
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The `purpose` to upload the file with [default: batch].
    #[arg(long, value_name = "PURPOSE")]
    pub upload_purpose: Option<String>,
    /// Additional form fields for the upload, as `name=value`; one per flag.
    #[arg(long, value_name = "NAME=VALUE")]
    pub upload_fields: Vec<Field>,
    /// Expire the file after this time, `1h` to `30days`.
    #[arg(long, value_name = "SPAN", value_parser = values::file_life)]
    pub expires_after: Option<Duration>,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `file get` and `file delete` take.
#[derive(Debug, Args)]
pub struct OneFile {
    /// The file's id.
    #[arg(value_name = "FILE_ID", value_parser = values::id)]
    pub file_id: String,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}

/// What `file content` takes.
#[derive(Debug, Args)]
pub struct FileContent {
    /// The file's id.
    #[arg(value_name = "FILE_ID", value_parser = values::id)]
    pub file_id: String,
    /// The file to write. `-` is standard output, for a pipe: do not print answers to a CI log, which may interpret them as commands.
    #[arg(long, value_name = "PATH")]
    pub output: PathBuf,
    /// The connection.
    #[command(flatten)]
    pub connection: Connection,
}
