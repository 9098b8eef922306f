import Config
import LinuxIO
import Logging
import StateStore
import Wire

/// What is looked at before anything is opened: what would fail later is said now, with the command that mends it (programs.md).
enum Startup {
    /// Throws what makes a start impossible; warns of what only makes it useless.
    static func check(_ plan: Plan, logger: Logger) throws(StartupError) {
        let missing: [Capability]
        do throws(SystemError) {
            missing = try Capability.missing(of: [.netAdmin, .netBindService])
        } catch {
            throw StartupError("\(error)")
        }
        guard missing.isEmpty else {
            let names = missing.map(\.description).joined(separator: " and ")
            throw StartupError("this process lacks \(names); run it as root, or grant them in the systemd unit (AmbientCapabilities=)")
        }
        for gateway in plan.gateways.values {
            for port in [500, 4500] as [UInt16] { try probe(Endpoint(gateway.address, port: port)) }
        }
        warn(plan, logger: logger)
    }

    private static func probe(_ endpoint: Endpoint) throws(StartupError) {
        do throws(SystemError) {
            if let holder = try PortProbe.holder(of: endpoint) { throw PortProbe.error(endpoint, heldBy: holder) }
        } catch {
            throw StartupError("\(error)")
        }
    }

    private static func warn(_ plan: Plan, logger: Logger) {
        if let isOn = try? Forwarding.isOn(.ipv4), !isOn {
            logger.warning(
                "IP forwarding is off: clients reach this host alone; turn it on with: \(Forwarding.command(.ipv4))",
                metadata: ["event": "forwarding-off"])
        }
        for (pool, command) in Masquerade.missing(plan) {
            logger.warning(
                "no masquerade for \(pool): hosts of the LAN need a route back to it through this host, or: \(command)",
                metadata: ["event": "no-masquerade", "pool": "\(pool)"])
        }
        do throws(SystemError) {
            try ProcessHardening.forbidDumps()
            _ = try ProcessHardening.raiseFileLimit(to: 65_536)
        } catch {
            logger.warning("\(error)")
        }
    }

    /// Holds the state directory, so that a second daemon cannot give out the same addresses.
    static func lock(_ directory: String) throws(StartupError) -> StateDirectoryLock {
        do throws(SystemError) {
            return try StateDirectoryLock(directory: directory)
        } catch {
            throw StartupError("\(error)")
        }
    }

    static func open(_ body: () throws(StateStoreError) -> StateStore) throws(StartupError) -> StateStore {
        do throws(StateStoreError) {
            return try body()
        } catch {
            throw StartupError("\(error)")
        }
    }
}
