//! Loads our rules at boot: a unit, or an init script without systemd.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::action::contract::{Act, Context};
use crate::action::file::File;
use crate::action::service::Service;
use crate::error::{Failure, Outcome};
use crate::host::{Host, Kind};
use crate::system::service::{Manager, Work};
use crate::undo::Undo;

/// A file that is ours.
pub(super) struct Text {
    pub(super) path: PathBuf,
    pub(super) content: String,
    pub(super) mode: &'static str,
}

impl Text {
    /// The action that writes it.
    pub(super) fn action(&self) -> File {
        let root = || "root".to_owned();
        let Self { path, content, mode } = self;
        File {
            path: path.clone(),
            content: content.clone(),
            mode: (*mode).to_owned(),
            owner: root(),
            group: root(),
            may_exist: true,
        }
    }
}

/// Whether all of them exist with the right content.
pub(super) fn stand(host: &dyn Host, files: &[Text]) -> Outcome<bool> {
    for file in files {
        let failed = |e| Failure::new(format!("read {}", file.path.display()), e);
        let is_file = host.stat(&file.path).map_err(failed)?.is_some_and(|stat| stat.kind == Kind::File);
        if !is_file || host.read(&file.path).map_err(failed)? != file.content.as_bytes() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The service that loads rules.
pub(super) struct AtBoot {
    manager: Manager,
    load: String,
    unload: String,
    is_loaded: String,
}

impl AtBoot {
    /// With the commands (absolute paths, no quotes) that load the rules, unload them, and report by their status
    /// whether they are loaded.
    pub(super) fn new(manager: Manager, load: &str, unload: &str, is_loaded: &str) -> Self {
        Self { manager, load: load.to_owned(), unload: unload.to_owned(), is_loaded: is_loaded.to_owned() }
    }

    /// The action that runs it, now and at boot.
    pub(super) fn service(&self) -> Service {
        Service {
            manager: self.manager,
            name: self.name().to_owned(),
            running: true,
            restart_after: Vec::new(),
            reload_after: Vec::new(),
            sites: None,
            test: Vec::new(),
        }
    }

    /// Writes the files that it loads, and starts it.
    pub(super) fn keep(&self, cx: &Context<'_>, files: &[Text]) -> Outcome<()> {
        let is_known = stand(cx.host, &[self.file()])?;
        for file in files {
            file.action().apply(cx)?;
        }
        let service = self.service();
        if !is_known {
            // A unit of an older bringup runs, and systemd would keep its definition until the next boot.
            self.manager.refresh(&Work { host: cx.host, log: cx.log }, &service.name)?;
        }
        service.apply(cx)
    }

    /// Whether the rules will be loaded at boot.
    pub(super) fn is_enabled(&self, host: &dyn Host) -> Outcome<bool> {
        let state = self.manager.state(host, self.name())?;
        Ok(state.known && state.active && state.enabled)
    }

    /// The undo records of rules that this loads and of their files; `rules` are those of the rules themselves. They
    /// are carried out from last to first: the unit is disabled, then the rules are removed, then the files, and the
    /// directories when they are empty, the innermost first.
    pub(super) fn records(&self, cx: &Context<'_>, files: &[Text], rules: Undo) -> Outcome<Vec<Undo>> {
        let mut dirs = BTreeSet::new();
        let mut others = Vec::new();
        for file in files {
            for record in file.action().prepare(cx)? {
                match record {
                    Undo::RemoveDir { path } => drop(dirs.insert(path)),
                    other => others.push(other),
                }
            }
        }
        let mut records: Vec<Undo> = dirs.into_iter().map(|path| Undo::RemoveDir { path }).collect();
        records.extend(others);
        records.push(rules);
        records.extend(self.service().prepare(cx)?);
        Ok(records)
    }

    /// Its name.
    pub(super) const fn name(&self) -> &'static str {
        match self.manager {
            Manager::Systemd => "bringup-firewall.service",
            Manager::Sysv | Manager::Supervisor => "bringup-firewall",
        }
    }

    /// Its unit or script.
    pub(super) fn file(&self) -> Text {
        match self.manager {
            Manager::Systemd => self.unit(),
            Manager::Sysv | Manager::Supervisor => self.script(),
        }
    }

    /// Before there is a network, whatever configures it: network-pre.target, which nothing else may want, would stay
    /// when the unit is removed. When other units flush all rules (Debian's nftables.service does), ours are loaded
    /// again. Nothing stops it at shutdown: the rules stay to the end.
    ///
    /// Its sandbox does without a mount namespace (`ProtectSystem` and the like): so early at boot systemd cannot
    /// always create one. On a loaded Debian 11 three boots of twenty ended without rules ("Failed to set up mount
    /// namespacing").
    fn unit(&self) -> Text {
        let Self { load, unload, .. } = self;
        let content = format!(
            "# Written by bringup.\n\
             [Unit]\n\
             Description=Firewall rules of bringup\n\
             DefaultDependencies=no\n\
             Before=network-pre.target network.target systemd-networkd.service networking.service NetworkManager.service\n\
             After=local-fs.target systemd-modules-load.service nftables.service\n\
             PartOf=nftables.service\n\
             ReloadPropagatedFrom=nftables.service\n\
             \n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             ExecStart={load}\n\
             ExecReload={load}\n\
             ExecStop=-{unload}\n\
             # It talks to the kernel about packets, and to nobody else. iptables wants its lock and a raw socket.\n\
             CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW\n\
             RestrictAddressFamilies=AF_NETLINK AF_UNIX AF_INET AF_INET6\n\
             IPAddressDeny=any\n\
             DevicePolicy=closed\n\
             NoNewPrivileges=yes\n\
             RestrictNamespaces=yes\n\
             RestrictRealtime=yes\n\
             RestrictSUIDSGID=yes\n\
             LockPersonality=yes\n\
             MemoryDenyWriteExecute=yes\n\
             SystemCallArchitectures=native\n\
             SystemCallFilter=@system-service\n\
             SystemCallFilter=~@privileged @resources\n\
             SystemCallErrorNumber=EPERM\n\
             UMask=0077\n\
             \n\
             [Install]\n\
             WantedBy=sysinit.target\n"
        );
        Text { path: "/etc/systemd/system/bringup-firewall.service".into(), content, mode: "0644" }
    }

    fn script(&self) -> Text {
        let Self { load, unload, is_loaded, .. } = self;
        let content = format!(
            "#!/bin/sh\n\
             # Written by bringup.\n\
             ### BEGIN INIT INFO\n\
             # Provides:          bringup-firewall\n\
             # Required-Start:    $local_fs\n\
             # Required-Stop:\n\
             # Default-Start:     2 3 4 5\n\
             # Default-Stop:\n\
             # Short-Description: Firewall rules of bringup\n\
             ### END INIT INFO\n\
             is_loaded() {{ {is_loaded} >/dev/null 2>&1; }}\n\
             case \"$1\" in\n\
             start | restart | reload | force-reload) {load} ;;\n\
             stop) ! is_loaded || {unload} ;;\n\
             status) is_loaded || exit 3 ;;\n\
             *) echo \"usage: $0 start|stop|restart|reload|status\" >&2; exit 2 ;;\n\
             esac\n"
        );
        Text { path: "/etc/init.d/bringup-firewall".into(), content, mode: "0755" }
    }
}
