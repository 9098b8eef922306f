import Wire

/// `system`, `management`, `tunnel-group`.
extension Draft {
    func readSystem(_ value: Value?) {
        value?.section { section in
            configuration.system.name = section["name"]?.text(1...253)
            if let address = section["address"] {
                configuration.system.address = address.address()
                address.uses(.radiusAuthentication)
            }
        }
    }

    func readManagement(_ value: Value?) {
        value?.section { section in
            var settings = ManagementSettings()
            // The kernel's limit for the name of a socket is 107 octets.
            if let socket = section["control-socket"], let path = socket.absolutePath() {
                if path.utf8.count <= 107 { settings.controlSocket = path } else { socket.refuse(allowed: "at most 107 octets") }
            }
            settings.stateDirectory = section["state-directory"]?.absolutePath() ?? settings.stateDirectory
            section["socket-access"]?.section { access in
                settings.socketGroup = access["group"]?.name()
                settings.socketMode = access["mode"].flatMap(octalMode) ?? settings.socketMode
            }
            section["log"]?.section { log in
                settings.logLevel = log["level"]?.choice() ?? settings.logLevel
                if let format = log["format"] {
                    settings.logFormat = format.choice() ?? settings.logFormat
                    if settings.logFormat == .journald { format.uses(.journald) }
                }
            }
            section["metrics"]?.section { metrics in
                let address = metrics.required("address", "an address to listen on")?.address()
                let port = metrics.required("port", "1...65535")?.integer(1...65535)
                if let address, let port { settings.metrics = Endpoint(address, port: UInt16(port)) }
            }
            section["accounting-spool"]?.uses(.radiusAccounting)
            section["accounting-spool"]?.section { spool in
                settings.accountingSpool.maximumSize = spool["maximum-size"]?.size(1 << 20...1 << 40) ?? 1 << 30
                settings.accountingSpool.whenFull = spool["when-full"]?.choice() ?? .refuseLogins
            }
            configuration.management = settings
        }
    }

    private func octalMode(_ value: Value) -> UInt16? {
        guard let text = value.scalar, (3...4).contains(text.utf8.count), let mode = UInt16(text, radix: 8), mode <= 0o777
        else {
            value.refuse(allowed: "an octal mode in quotes, such as \"0660\"")
            return nil
        }
        return mode
    }

    func readTunnelGroups(_ value: Value?) {
        tunnelGroups.read(ids: value, max: 16) { id, value in
            value.section { section in
                var group = TunnelGroup(id: id)
                if let workers = section["workers"], workers.scalar != "auto" {
                    group.workers = workers.integer(1...64, also: "auto")
                }
                if let engine = section["crypto-engine"] {
                    group.engine = engine.choice() ?? .auto
                    if group.engine == .ipsecMB { engine.uses(.multiBuffer) }
                }
                if let time = section["busy-poll"]?.integer(0...1000) { group.busyPoll = .microseconds(time) }
                if let reassembly = section["reassembly"] {
                    reassembly.uses(.reassembly)
                    reassembly.section { section in
                        group.reassemblyTimeout = section["max-wait-time"]?.milliseconds(100...5000) ?? .milliseconds(2000)
                    }
                }
                return group
            }
        }
        for entry in tunnelGroups.entries.dropFirst() {
            reader.uses(.severalTunnelGroups, at: entry.position, entry.path, found: "a second tunnel-group")
        }
        let groups = tunnelGroups.objects
        if !groups.isEmpty { configuration.tunnelGroups = groups }
    }
}
