//! What the engine is tested and measured against: real servers, mock APIs, and workloads whose rows are
//! known. Nothing here knows the engine.
//!
//! | module | what it is for |
//! |---|---|
//! | [`postgres`] | a server from a container, local binaries or a URL |
//! | [`with_postgres`], [`test_database`] | a server for a command; a database for a test |
//! | [`api_process`] | an API as a process of its own |
//! | [`mock_api`] | a workload behind every kind of pagination, and how fast that API can be |
//! | [`network`] | a relay that adds latency, and the round trip as measured |
//! | [`workload`] | seeded rows, and the checksum of what must land |
//! | [`program`] | a command as a user runs it |
//! | [`cpu`] | processor time of process trees, and steal |

pub mod api_process;
pub mod cpu;
pub mod mock_api;
pub mod network;
pub mod postgres;
pub mod program;
pub mod test_database;
pub mod with_postgres;
pub mod workload;
