//! Which row a statement of many was refused for.
//!
//! The server names the row and the column of a COPY, and of no other statement. So the rows of a refused
//! statement are shown to it again, by COPY, in a transaction that is rolled back.

use bytes::BytesMut;
use futures::SinkExt as _;

use super::LoadTarget;
use super::server_error::ServerError;
use super::session::{Idle, Session};
use super::table::quoted_list;
use crate::config::CopyFormat;
use crate::encode::Rows;
use crate::error::Error;

/// The `refusal` of some rows with its row and column. Nothing else may be under way on the session, and the
/// transaction is lost.
pub(super) async fn locate(
    session: &Session,
    target: &LoadTarget,
    rows: &Rows,
    refusal: &ServerError,
) -> Error {
    let mut found = rehearse(session, target, rows).await;
    // What this transaction is about is not in the answer's interest.
    let _ = session.execute(&target.doing, "ROLLBACK").await;
    if let Some(place) = &mut found
        && place.code == refusal.code
        && let Some(copy) = &mut place.place
    {
        copy.row += rows.first_row() - 1;
        return place.while_doing(&target.doing);
    }
    // Not by itself then, but together with rows before it.
    let last = rows.first_row() + rows.len() as u64 - 1;
    let range = format!("rows {} to {last} of the result", rows.first_row());
    refusal.while_doing(&format!("{}, {range}", target.doing))
}

/// What the server says of the rows by themselves.
async fn rehearse(session: &Session, target: &LoadTarget, rows: &Rows) -> Option<ServerError> {
    let doing = &target.doing;
    session.execute(doing, "ROLLBACK").await.ok()?;
    session.begin(doing, Idle::Usual).await.ok()?;
    let mut setup = "SET LOCAL lock_timeout = '1s'".to_owned();
    if let Some(key) = target.lock {
        // The lock went with the transaction. If another load has it now, that is not to be disturbed.
        let again = format!("SELECT pg_try_advisory_xact_lock({key})");
        let locked = session.query(doing, &again, &[]).await.ok()?;
        if !locked.first()?.get::<_, bool>(0) {
            return None;
        }
        // So did the table, where others do not fill it too.
        setup = format!("{setup}; {}", target.setup);
    }
    session.execute(doing, &setup).await.ok()?;
    let copy = format!(
        "COPY {} ({}) FROM STDIN",
        target.table,
        quoted_list(target.columns.iter().map(|column| &column.name))
    );
    let mut bytes = BytesMut::new();
    target
        .encoder
        .copy(rows, CopyFormat::Text, &mut bytes)
        .ok()?;
    let refused = async {
        let mut sink = Box::pin(session.client().copy_in(&copy).await?);
        sink.send(bytes.freeze()).await?;
        sink.as_mut().finish().await
    };
    let refused = session.watched(doing, refused).await.ok()?.err()?;
    session.server_error(&refused)
}
