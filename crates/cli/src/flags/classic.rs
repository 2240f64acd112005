//! Flags of docker's classic builder and of its resource limits: few have a meaning where there is no daemon.

use std::path::PathBuf;

use super::go::Switch;

/// Flags that scripts for `docker build` carry along. Hidden from `--help`, all but `--squash`.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Options (docker's names)")]
pub struct ClassicFlags {
    /// Put everything the build adds into one layer; the same as --single-snapshot
    #[arg(long, value_name = "BOOL")]
    pub squash: Option<Switch>,
    /// Attestations: only `type=...,disabled=true`, since none are made
    #[arg(long, value_name = "SPEC", hide = true)]
    pub attest: Vec<String>,
    /// Not needed: there is one builder, this program
    #[arg(long, value_name = "NAME", hide = true)]
    pub builder: Option<String>,
    /// Not needed: the context is read where it is
    #[arg(long, value_name = "BOOL", hide = true)]
    pub compress: Option<Switch>,
    /// More messages; the same as --verbosity=debug
    #[arg(long, short = 'D', value_name = "BOOL", hide = true)]
    pub debug: Option<Switch>,
    /// Not needed: images are never verified by content trust
    #[arg(long, value_name = "BOOL", hide = true)]
    pub disable_content_trust: Option<Switch>,
    /// Not needed: nothing is left behind by a RUN
    #[arg(long, value_name = "BOOL", hide = true)]
    pub rm: Option<Switch>,
    /// Not needed: nothing is left behind by a RUN
    #[arg(long, value_name = "BOOL", hide = true)]
    pub force_rm: Option<Switch>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "NAME", hide = true)]
    pub cgroup_parent: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, short, value_name = "SIZE", hide = true)]
    pub memory: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "SIZE", hide = true)]
    pub memory_swap: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "N", hide = true)]
    pub cpu_period: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "N", hide = true)]
    pub cpu_quota: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "N", hide = true)]
    pub cpu_shares: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "LIST", hide = true)]
    pub cpuset_cpus: Option<String>,
    /// Refused: no control group is made for RUN
    #[arg(long, value_name = "LIST", hide = true)]
    pub cpuset_mems: Option<String>,
    /// Refused: RUN has one confinement
    #[arg(long, value_name = "OPTION", hide = true)]
    pub security_opt: Vec<String>,
    /// Refused: RUN gets no devices
    #[arg(long, value_name = "DEVICE", hide = true)]
    pub device: Vec<String>,
    /// Refused: policies are not evaluated
    #[arg(long, value_name = "SPEC", hide = true)]
    pub policy: Vec<PathBuf>,
}
