//! The suite as its users see it: the `apitap-bench` command, in processes of its own.

mod mock_api;
mod postgres_run;
