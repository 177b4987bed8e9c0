//! Asks what a probe asks.

use std::{io, net::SocketAddr, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::{
    launch::Launch,
    network::{Link, Network},
    probe::{Schedule, Test},
};

/// The container that is probed.
pub(crate) struct Target<'a> {
    pub(crate) network: &'a Network,
    pub(crate) link: &'a Link,
    pub(crate) launch: &'a Launch,
    pub(crate) process: u32,
}

/// Whether a container succeeds.
pub(crate) async fn succeeds(schedule: &Schedule, target: &Target<'_>) -> bool {
    let outcome = async {
        match &schedule.test {
            Test::Http { host, port, path, headers } => http(target, host.as_deref(), *port, path, headers).await,
            Test::Tcp { host, port } => {
                target.network.connect_tcp(address(target, host.as_deref(), *port)?).await.map(|_| true)
            }
            Test::Exec(command) => exec(target, command).await,
        }
    };
    matches!(timeout(schedule.timeout, outcome).await, Ok(Ok(true)))
}

fn address(target: &Target<'_>, host: Option<&str>, port: u16) -> io::Result<SocketAddr> {
    let Some(host) = host else { return Ok((target.link.addresses.first(), port).into()) };
    let host: std::net::IpAddr = host.parse().map_err(io::Error::other)?;
    Ok((host, port).into())
}

async fn http(
    target: &Target<'_>,
    host: Option<&str>,
    port: u16,
    path: &str,
    headers: &[(String, String)],
) -> io::Result<bool> {
    let address = address(target, host, port)?;
    let mut connection = target.network.connect_tcp(address).await?;
    let own_host = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = if own_host { String::new() } else { format!("Host: {address}\r\n") };
    let mut request = format!("GET {path} HTTP/1.1\r\n{host}User-Agent: kube-probe\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request += "\r\n";
    connection.write_all(request.as_bytes()).await?;
    let mut status = String::new();
    BufReader::new(connection).read_line(&mut status).await?;
    let code = status.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok());
    Ok(code.is_some_and(|code| (200..400).contains(&code)))
}

async fn exec(target: &Target<'_>, command: &[String]) -> io::Result<bool> {
    let mut inside = Command::new("nsenter");
    inside.arg(format!("--target={}", target.process)).args(["--mount", "--net", "--root", "--wd"]);
    if let Some(identity) = &target.launch.identity {
        inside.arg(format!("--setgid={}", identity.group)).arg(format!("--setuid={}", identity.user));
    }
    inside.arg("--").args(command).env_clear();
    inside.envs(target.launch.environment.iter().map(|(name, value)| (name, value)));
    inside.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    Ok(inside.status().await?.success())
}
