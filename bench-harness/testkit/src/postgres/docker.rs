//! A server in a container, through testcontainers.

use std::{env, time::Duration};

use anyhow::{Context, Result};
use testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, ImageExt,
    bollard::{
        Docker,
        models::{Mount, MountType},
        query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder},
    },
    core::{IntoContainerPort, client::docker_client_instance},
    runners::AsyncRunner,
};

use super::{
    INITDB_LOCALE, PgStorage, PostgresOptions, USER, first_to_answer, last_lines, owner,
    random_password,
};

const PORT: u16 = 5432;

/// A mount of our own: where an image declares its volume changed with PostgreSQL 18.
const DATA_MOUNT: &str = "/var/lib/apitap";

const OWNER_LABEL: &str = "apitap.owner";

/// Docker's default of 64 MiB is too little for parallel queries.
const SHARED_MEMORY_BYTES: u64 = 1 << 30;

const PING_TIMEOUT: Duration = Duration::from_secs(5);
const PULL_TIMEOUT: Duration = Duration::from_secs(300);

/// What Docker could do for us right now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerState {
    /// No daemon answers; the reason.
    Absent(String),
    /// A daemon answers, but the image would have to be pulled; the daemon's version.
    ImageMissing(String),
    /// A daemon answers and has the image; the daemon's version.
    Ready(String),
}

/// Asks the daemon for its version and for `image`. Pulls nothing.
pub async fn docker_state(image: &str) -> DockerState {
    let version = async {
        let docker = connect().await?;
        let version = docker
            .version()
            .await
            .context("the daemon does not say its version")?;
        Ok::<_, anyhow::Error>((docker, version.version.unwrap_or_default()))
    };
    match version.await {
        Err(error) => DockerState::Absent(format!("{error:#}")),
        Ok((docker, version)) if docker.inspect_image(image).await.is_ok() => {
            DockerState::Ready(version)
        }
        Ok((_, version)) => DockerState::ImageMissing(version),
    }
}

/// A running container; dropping it removes the container and its volume.
pub(super) struct DockerServer {
    url: String,
    image_digest: Option<String>,
    postmaster_pid: Option<u32>,
    container: Option<ContainerAsync<GenericImage>>,
}

impl DockerServer {
    pub(super) async fn start(options: &PostgresOptions) -> Result<Self> {
        let docker = connect().await?;
        remove_orphans(&docker).await;
        let image = options.image();
        let password = random_password();
        if docker.inspect_image(&image).await.is_err() {
            let pull = request(options, &image, &password).pull_image();
            tokio::time::timeout(PULL_TIMEOUT, pull)
                .await
                .with_context(|| format!("pulling {image} took over {PULL_TIMEOUT:?}"))?
                .map(drop)
                .with_context(|| format!("the image {image} is not here and cannot be pulled"))?;
        }
        let image_digest = digest(&docker, &image).await?;
        let container = request(options, &image, &password)
            .start()
            .await
            .with_context(|| format!("cannot start a container of {image}"))?;
        // From here on Drop removes the container when a step fails.
        let mut server = Self {
            url: String::new(),
            image_digest,
            postmaster_pid: None,
            container: Some(container),
        };
        server.postmaster_pid = pid(&docker, server.id()?).await?;
        server.url = server.wait_until_ready(&password).await?;
        Ok(server)
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn image_digest(&self) -> Option<&str> {
        self.image_digest.as_deref()
    }

    pub(super) fn postmaster_pid(&self) -> Option<u32> {
        self.postmaster_pid
    }

    fn container(&self) -> Result<&ContainerAsync<GenericImage>> {
        self.container.as_ref().context("the container is gone")
    }

    fn id(&self) -> Result<&str> {
        Ok(self.container()?.id())
    }

    /// Prefers the container's own address: the mapped port on 127.0.0.1 leads
    /// through `docker-proxy`, which copies every byte on the cores that are
    /// being measured. Docker Desktop reaches the mapped port alone.
    async fn wait_until_ready(&self, password: &str) -> Result<String> {
        let container = self.container()?;
        let mut addresses = Vec::new();
        if let Ok(address) = container.get_bridge_ip_address().await {
            addresses.push((address.to_string(), PORT));
        }
        let mapped = container
            .get_host_port_ipv4(PORT)
            .await
            .context("the port is not mapped")?;
        addresses.push(("127.0.0.1".to_owned(), mapped));
        let urls: Vec<String> = addresses
            .iter()
            .map(|(host, port)| format!("postgres://{USER}:{password}@{host}:{port}/{USER}"))
            .collect();
        let failure = async || match container.is_running().await {
            Ok(true) => None,
            Ok(false) => Some(log_tail(container).await),
            Err(error) => Some(format!("the container cannot be inspected: {error}")),
        };
        first_to_answer(&urls, failure).await
    }
}

impl Drop for DockerServer {
    /// On a thread with a runtime of its own: testcontainers' Drop panics
    /// outside a runtime, and blocks one that has a single thread.
    fn drop(&mut self) {
        let Some(container) = self.container.take() else {
            return;
        };
        let removal = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async { container.rm().await.context("cannot remove the container") })
        });
        match removal.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("a PostgreSQL container is left behind: {error:#}"),
            Err(_) => tracing::warn!("removing a PostgreSQL container panicked"),
        }
    }
}

fn request(
    options: &PostgresOptions,
    image: &str,
    password: &str,
) -> ContainerRequest<GenericImage> {
    let (name, tag) = name_and_tag(image);
    let mount = Mount {
        target: Some(DATA_MOUNT.to_owned()),
        typ: Some(match options.storage {
            // Without a source it is anonymous, and removed with the container.
            PgStorage::Disk => MountType::VOLUME,
            PgStorage::Tmpfs => MountType::TMPFS,
        }),
        ..Mount::default()
    };
    let mut command = vec!["postgres".to_owned()];
    command.extend(options.server_arguments());
    let cores = options.cores.as_ref().map(ToString::to_string);
    GenericImage::new(name, tag)
        .with_exposed_port(PORT.tcp())
        .with_cmd(command)
        .with_env_var("POSTGRES_USER", USER)
        .with_env_var("POSTGRES_PASSWORD", password)
        .with_env_var("POSTGRES_DB", USER)
        .with_env_var("POSTGRES_INITDB_ARGS", INITDB_LOCALE.join(" "))
        .with_env_var("PGDATA", format!("{DATA_MOUNT}/data"))
        .with_label(OWNER_LABEL, owner::this_process())
        .with_shm_size(SHARED_MEMORY_BYTES)
        .with_host_config_modifier(move |host| {
            host.mounts = Some(vec![mount.clone()]);
            host.cpuset_cpus.clone_from(&cores);
        })
}

/// `latest` where an image is named without a tag; a registry's port is no tag.
fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

async fn connect() -> Result<Docker> {
    let docker = docker_client_instance()
        .await
        .context("Docker is not configured")?;
    tokio::time::timeout(PING_TIMEOUT, docker.ping())
        .await
        .context("the Docker daemon does not answer")?
        .with_context(|| {
            let host = env::var("DOCKER_HOST").unwrap_or_else(|_| "its socket".to_owned());
            format!("no Docker daemon answers on {host}")
        })?;
    Ok(docker)
}

async fn digest(docker: &Docker, image: &str) -> Result<Option<String>> {
    let found = docker
        .inspect_image(image)
        .await
        .with_context(|| format!("cannot inspect the image {image}"))?;
    Ok(found
        .repo_digests
        .and_then(|digests| digests.into_iter().next())
        .or(found.id))
}

/// The container's first process as this machine sees it: the entrypoint, which
/// becomes the postmaster and keeps its PID. `None` where the daemon runs on
/// another machine or in a virtual one.
async fn pid(docker: &Docker, id: &str) -> Result<Option<u32>> {
    let found = docker
        .inspect_container(id, None)
        .await
        .context("cannot inspect the container")?;
    let pid = found
        .state
        .and_then(|state| state.pid)
        .and_then(|pid| u32::try_from(pid).ok());
    Ok(pid.filter(|pid| {
        let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        cgroup.contains(id)
    }))
}

/// Removes containers of harnesses that were killed.
async fn remove_orphans(docker: &Docker) {
    let filters = [("label".to_owned(), vec![OWNER_LABEL.to_owned()])].into();
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let Ok(containers) = docker.list_containers(Some(options)).await else {
        return;
    };
    for container in containers {
        let mark = container
            .labels
            .unwrap_or_default()
            .remove(OWNER_LABEL)
            .unwrap_or_default();
        if let Some(id) = container.id
            && owner::is_gone(&mark)
        {
            let options = RemoveContainerOptionsBuilder::new()
                .force(true)
                .v(true)
                .build();
            if let Err(error) = docker.remove_container(&id, Some(options)).await {
                tracing::debug!("cannot remove the container {id}: {error}");
            }
        }
    }
}

async fn log_tail(container: &ContainerAsync<GenericImage>) -> String {
    let log = container.stderr_to_vec().await.unwrap_or_default();
    last_lines(&String::from_utf8_lossy(&log))
}

#[cfg(test)]
mod tests {
    use super::name_and_tag;

    #[test]
    fn images_are_split_as_docker_reads_them() {
        assert_eq!(name_and_tag("postgres:17"), ("postgres", "17"));
        assert_eq!(name_and_tag("postgres"), ("postgres", "latest"));
        assert_eq!(
            name_and_tag("host:5000/postgres"),
            ("host:5000/postgres", "latest")
        );
        assert_eq!(
            name_and_tag("host:5000/postgres:16"),
            ("host:5000/postgres", "16")
        );
    }
}
