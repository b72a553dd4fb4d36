//! A disk that is full: a small file system for a database's tables.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use testkit::postgres::{PostgresServer, connect, quoted};
use url::Url;

/// What is left beyond what the table has; a load takes twice as much.
const ROOM_KIB: u64 = 32;

/// Enough for any load here.
const LARGE_KIB: u64 = 64 << 10;

const TABLESPACE: &str = "small";

/// A file system of a few hundred KiB.
pub(super) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Mounts one, and makes it the place of a database's tables.
    ///
    /// # Errors
    /// When it cannot be mounted; this needs root.
    pub(super) async fn mount(server: &PostgresServer, database: &Url) -> Result<Self> {
        let client = connect(server.url()).await?;
        let row = client
            .query_one("SELECT current_setting('data_directory')", &[])
            .await?;
        let owner = std::fs::metadata(row.get::<_, String>(0)).context("cannot see the data")?;
        let folder = tempfile::Builder::new()
            .prefix("apitap-disk-")
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir()
            .context("cannot make a folder to mount at")?;
        let options = format!(
            "size={LARGE_KIB}k,mode=700,uid={},gid={}",
            owner.uid(),
            owner.gid()
        );
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], folder.path())?;
        let disk = Self { folder };
        let place = disk.folder.path().display();
        let statement = format!("CREATE TABLESPACE {TABLESPACE} LOCATION '{place}'");
        let made = client.batch_execute(&statement).await;
        made.context("cannot make a tablespace")?;
        let name = quoted(database.path().trim_start_matches('/'));
        let set = ["default_tablespace", "temp_tablespaces"]
            .map(|setting| format!("ALTER DATABASE {name} SET {setting} = {TABLESPACE}"));
        let set = client.batch_execute(&set.join("; ")).await;
        set.context("cannot set the tablespace")?;
        Ok(disk)
    }

    /// Leaves room for a part of a load.
    pub(super) fn fill(&self) -> Result<()> {
        let used = rustix::fs::statvfs(self.folder.path()).context("cannot see the disk")?;
        let used_kib = (used.f_blocks - used.f_bfree) * used.f_frsize / 1024;
        self.resize(used_kib + ROOM_KIB)
    }

    /// Leaves room for every load.
    pub(super) fn empty(&self) -> Result<()> {
        self.resize(LARGE_KIB)
    }

    fn resize(&self, kib: u64) -> Result<()> {
        mount(&["-o", &format!("remount,size={kib}k")], self.folder.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
        if !unmounted.is_ok_and(|status| status.success()) {
            tracing::warn!("{} stays mounted", self.folder.path().display());
        }
    }
}

fn mount(arguments: &[&str], at: &Path) -> Result<()> {
    let output = Command::new("mount").args(arguments).arg(at).output();
    let output = output.context("cannot run mount")?;
    anyhow::ensure!(
        output.status.success(),
        "cannot mount a small file system: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
