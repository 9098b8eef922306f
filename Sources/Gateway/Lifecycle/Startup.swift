import Config
import Datapath
import LinuxIO
import Logging
import RADIUS
import StateStore
import Wire

/// What is looked at before anything is opened: what would fail later is said now, with the command that mends it (programs.md).
enum Startup {
    /// Throws what makes a start impossible; warns of what only makes it useless.
    static func check(_ plan: Plan, logger: Logger) throws(StartupError) {
        let missing: [Capability]
        do throws(SystemError) {
            missing = try Capability.missing(of: [.netAdmin, .netBindService] + (plan.needsRawSockets ? [.netRaw] : []))
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
        for (namespace, family) in notForwarding(plan) {
            let command = (namespace.map { "ip netns exec \($0) " } ?? "") + Forwarding.command(family)
            let place = namespace.map { " in network namespace \($0)" } ?? ""
            let reached = namespace == nil ? "this host" : "the namespace itself"
            logger.warning(
                "IPv\(family.rawValue) forwarding is off\(place): clients reach \(reached) alone; turn it on with: \(command)",
                metadata: ["event": "forwarding-off"])
        }
        for (pool, command) in Masquerade.missing(plan) {
            logger.warning(
                "no masquerade for \(pool): hosts of the LAN need a route back to it through this host, or: \(command)",
                metadata: ["event": "no-masquerade", "pool": "\(pool)"])
        }
        if ShortLifetimes.current != nil {
            logger.warning(
                "\(ShortLifetimes.variable) is set: SAs live shorter than configured, which is for tests alone; unset it",
                metadata: ["event": "short-lifetimes"])
        }
        if let offloads = FewerOffloads.current {
            logger.warning(
                "\(FewerOffloads.variable) is set: of the kernel's offloads \(offloads.rawValue) are used, which is for tests alone; unset it",
                metadata: ["event": "fewer-offloads"])
        }
        for text in OuterLinks.open(plan) { logger.warning("\(text)", metadata: ["event": "outer-link-open"]) }
        if plan.datapath.reservesListenerPorts {
            logger.notice(
                "this machine gives packets other sources: clients' UDP packets from ports 500 and 4500 to public addresses are dropped",
                metadata: ["event": "listener-ports-reserved"])
        }
        do throws(SystemError) {
            try ProcessHardening.forbidDumps()
            _ = try ProcessHardening.raiseFileLimit(to: 65_536)
        } catch {
            logger.warning("\(error)")
        }
    }

    /// Namespaces (nil: our own) and the families that private interfaces have there and the kernel does not forward.
    private static func notForwarding(_ plan: Plan) -> [(namespace: String?, family: AddressFamily)] {
        var found: [(namespace: String?, family: AddressFamily)] = []
        for namespace in Set(plan.datapath.interfaces.map(\.networkNamespace)).sorted(by: { $0 ?? "" < $1 ?? "" }) {
            let here = plan.datapath.interfaces.filter { $0.networkNamespace == namespace }
            let families = Set(here.flatMap(\.addresses).map(\.address.family))
            for family in [AddressFamily.ipv4, .ipv6] where families.contains(family) {
                if let isOn = try? isForwarding(family, in: namespace), !isOn { found.append((namespace, family)) }
            }
        }
        return found
    }

    private static func isForwarding(_ family: AddressFamily, in namespace: String?) throws(SystemError) -> Bool {
        guard let namespace else { return try Forwarding.isOn(family) }
        return try NetworkNamespace(named: namespace).within { () throws(SystemError) in try Forwarding.isOn(family) }
    }

    /// Holds the state directory, so that a second daemon cannot give out the same addresses.
    static func lock(_ directory: String) throws(StartupError) -> StateDirectoryLock {
        do throws(SystemError) {
            return try StateDirectoryLock(directory: directory)
        } catch {
            throw StartupError("\(error)")
        }
    }

    /// What names and kinds RADIUS attributes have.
    static func loadDictionary() throws(StartupError) {
        do throws(RADIUSError) {
            try RADIUSDictionary.load()
        } catch {
            throw StartupError("\(error); install freeradius-common, which has \(RADIUSDictionary.systemDirectory)/dictionary")
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
