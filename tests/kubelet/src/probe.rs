//! What the outcomes of a probe mean, as it is asked again and again.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{ContainerPort, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use crate::facts::Refusal;

/// A probe with all that the API leaves to defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) test: Test,
    pub(crate) initial_delay: Duration,
    pub(crate) period: Duration,
    pub(crate) timeout: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    /// Of a container that fails it.
    pub(crate) grace: Option<Duration>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Test {
    Http { host: Option<String>, port: u16, path: String, headers: Vec<(String, String)> },
    Tcp { host: Option<String>, port: u16 },
    Exec(Vec<String>),
}

/// What a probe has found lately.
pub(crate) struct Health {
    succeeds: Option<bool>,
    same: u32,
    success_threshold: u32,
    failure_threshold: u32,
}

impl Schedule {
    /// Reads a probe of a container that has these ports.
    pub(crate) fn new(probe: &Probe, ports: &[ContainerPort]) -> Result<Schedule, Refusal> {
        let seconds = |value: Option<i32>, default: u64| {
            Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
        };
        let count = |value: Option<i32>, default| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
        Ok(Schedule {
            test: Test::new(probe, ports)?,
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
            grace: probe.termination_grace_period_seconds.map(|it| Duration::from_secs(it.try_into().unwrap_or(0))),
        })
    }
}

impl Test {
    fn new(probe: &Probe, ports: &[ContainerPort]) -> Result<Test, Refusal> {
        let number = |port: &IntOrString| {
            let number = match port {
                IntOrString::Int(number) => Some(*number),
                IntOrString::String(name) => {
                    let named = ports.iter().find(|port| port.name.as_ref() == Some(name));
                    named.map(|port| port.container_port).or_else(|| name.parse().ok())
                }
            };
            let number = number.and_then(|number| u16::try_from(number).ok());
            number.ok_or_else(|| Refusal::config(format!("a probe is of the port {port:?}, which the container lacks")))
        };
        if let Some(http) = &probe.http_get {
            if http.scheme.as_deref().is_some_and(|scheme| scheme != "HTTP") {
                return Err(Refusal::config("this kubelet for tests probes by HTTP without TLS only"));
            }
            let headers = http.http_headers.iter().flatten().map(|it| (it.name.clone(), it.value.clone())).collect();
            let path = http.path.clone().unwrap_or_else(|| "/".into());
            return Ok(Test::Http { host: http.host.clone(), port: number(&http.port)?, path, headers });
        }
        if let Some(tcp) = &probe.tcp_socket {
            return Ok(Test::Tcp { host: tcp.host.clone(), port: number(&tcp.port)? });
        }
        if let Some(exec) = &probe.exec {
            return Ok(Test::Exec(exec.command.clone().unwrap_or_default()));
        }
        Err(Refusal::config("this kubelet for tests probes by httpGet, tcpSocket and exec only"))
    }
}

impl Health {
    pub(crate) fn new(schedule: &Schedule) -> Health {
        let Schedule { success_threshold, failure_threshold, .. } = *schedule;
        Health { succeeds: None, same: 0, success_threshold, failure_threshold }
    }

    /// Takes an outcome; returns the verdict once enough of the same have come one after the other, and again with each
    /// further one.
    pub(crate) fn after(&mut self, succeeds: bool) -> Option<bool> {
        self.same = if self.succeeds == Some(succeeds) { self.same.saturating_add(1) } else { 1 };
        self.succeeds = Some(succeeds);
        let threshold = if succeeds { self.success_threshold } else { self.failure_threshold };
        (self.same >= threshold).then_some(succeeds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(success: i32, failure: i32) -> Health {
        let probe = Probe {
            tcp_socket: Some(k8s_openapi::api::core::v1::TCPSocketAction { host: None, port: IntOrString::Int(1) }),
            success_threshold: Some(success),
            failure_threshold: Some(failure),
            ..Probe::default()
        };
        Health::new(&Schedule::new(&probe, &[]).expect("it is complete"))
    }

    #[test]
    fn a_verdict_takes_as_many_outcomes_in_a_row_as_its_threshold() {
        let mut health = health(2, 3);
        let outcomes = [true, true, false, false, true, false, false, false, false, true, true];
        let verdicts: Vec<_> = outcomes.into_iter().map(|outcome| health.after(outcome)).collect();
        let none = None;
        assert_eq!(
            verdicts,
            [none, Some(true), none, none, none, none, none, Some(false), Some(false), none, Some(true)]
        );
    }

    #[test]
    fn a_probe_may_name_a_port_of_its_container_and_no_other() {
        let port = |name: &str| {
            let ports = [ContainerPort { name: Some("http".into()), container_port: 80, ..ContainerPort::default() }];
            let tcp_socket =
                k8s_openapi::api::core::v1::TCPSocketAction { host: None, port: IntOrString::String(name.into()) };
            Schedule::new(&Probe { tcp_socket: Some(tcp_socket), ..Probe::default() }, &ports).map(|it| it.test)
        };
        assert_eq!(port("http"), Ok(Test::Tcp { host: None, port: 80 }));
        assert!(port("dns").is_err());
    }
}
