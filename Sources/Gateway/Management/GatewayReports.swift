import AddressAssignment
import Config
import Datapath
import ESP
import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import LinuxIO
import Logging
package import ManagementAPI
import Synchronization
import Wire

extension Gateway: ManagementSource {
    package func status() async -> StatusReport {
        let now = MonotonicClock.now
        return StatusReport(
            name: plan.systemName, version: GatewayVersion.text, engine: GatewayVersion.engine(plan.datapath.engine), started: started.wall,
            uptime: UInt64(max(0, (now - started.clock).components.seconds)), sessions: await parts.sessions.count,
            halfOpen: parts.statistics.halfOpen, workers: plan.datapath.workers, gateways: plan.gateways.count, logLevel: gatewayLog.level,
            workerLoads: parts.datapath.workerStatus.map { WorkerReport($0) })
    }

    package func gateways() async -> [GatewayReport] {
        let sessions = await parts.sessions.all
        let configuration = current.withLock { $0 }
        let served = served.withLock { $0 }
        return configuration.gateways.map { gateway in
            let running = served.values.first { $0.name == gateway.name }
            return GatewayReport(
                name: gateway.name, address: running?.address ?? IPAddress(v4: 0), identity: running?.identity.text ?? "",
                state: running == nil ? .down : .up, sessions: sessions.count { $0.gateway.name == gateway.name },
                halfOpen: running == nil ? 0 : parts.statistics.halfOpen, ikePolicy: gateway.policy.id, service: gateway.interface.service,
                interface: gateway.interface.interface, addressSources: [gateway.ipv4Pool, gateway.ipv6Pool].compactMap { $0?.description })
        }
    }

    package func sessions(matching selector: SessionSelector?) async -> [SessionReport] {
        await parts.sessions.all.filter { session in
            selector.map { $0.matches(session) } ?? true
        }.map { session in
            let counters = session.tunnel.flatMap { parts.datapath.counters(tunnel: $0) } ?? TunnelCounters()
            return SessionReport(
                id: String(session.id), name: session.name, identity: session.identity, gateway: session.gateway.name, remote: session.remote,
                innerAddresses: session.addresses, service: session.gateway.service, interface: session.gateway.interface,
                template: session.gateway.template.id, established: session.established ?? started.wall, octetsIn: counters.octetsIn,
                octetsOut: counters.octetsOut, packetsIn: counters.packetsIn, packetsOut: counters.packetsOut, drops: counters.drops,
                childSAs: session.children.sorted(), acctSessionId: session.accountingID, authorization: AuthorizationReport(session))
        }
    }

    package func securityAssociations() async -> [SecurityAssociationReport] {
        var all: [SecurityAssociationReport] = []
        for engine in parts.engines { all += await engine.securityAssociations() }
        return all.sorted { ($0.session.count, $0.session, $0.responderSPI) < ($1.session.count, $1.session, $1.responderSPI) }
    }

    package func counters() async -> CounterReport {
        var ike: [String: UInt64] = ["door-replies": parts.statistics.statelessReplies]
        for (reason, count) in parts.statistics.byReason { ike["door-dropped-\(reason.rawValue)"] = count }
        for engine in parts.engines { ike.merge(await engine.counts) { $0 &+ $1 } }
        var drops: [String: UInt64] = [:]
        for (reason, count) in parts.datapath.dropCounters() { drops[reason.name] = count }
        return CounterReport(drops: drops, ike: ike)
    }

    package func pools() async -> [PoolReport] {
        await parts.addresses.occupancy().map { name, status in
            PoolReport(
                name: name.description, size: status.size, used: UInt64(status.live), held: UInt64(status.held),
                quarantined: UInt64(status.resting), free: status.free)
        }
    }

    package func clear(_ selector: SessionSelector) async -> Int {
        let meant = await parts.sessions.all.filter { selector.matches($0) }
        for session in meant { await parts.engines[session.sa.shard].close(session.sa.id, .operatorRequest) }
        for session in meant { await parts.sessions.end(session.id, .operatorRequest) }
        log.cleared(selector, count: meant.count)
        return meant.count
    }

    package func reload() async -> ReloadAnswer { await reloadConfiguration() }

    package func setLogLevel(_ level: LogLevel) async {
        gatewayLog.level = level
        logger.notice("log level is now \(level.rawValue)")
    }
}

extension WorkerReport {
    fileprivate init(_ status: WorkerStatus) {
        self.init(
            worker: status.worker, sessions: status.sessions, octets: status.load.octets, packets: status.load.packets, shed: status.shed,
            taken: status.taken)
    }
}

extension SessionSelector {
    fileprivate func matches(_ session: Session) -> Bool {
        matches(
            id: String(session.id), name: session.name, identity: session.identity, innerAddresses: session.addresses, remote: session.remote)
    }
}

/// The version of this build.
package enum GatewayVersion {
    package static let text = "0.1.0"

    /// The libraries that do the cryptography: ESP's engine first.
    static func engine(_ engine: CryptoEngine) -> String {
        engine == .openSSL ? engine.library : "\(engine.library), \(CryptoLibrary.version)"
    }

    /// What the datapath stands on, a line each. Asks the kernel by a TUN device and a socket that are gone when it returns.
    package static var platform: [String] {
        ["kernel   \(Machine.kernel)", "offloads \(text(of: KernelOffloads()))", "datapath ESP in UDP and native, \(Machine.cores) processors"]
    }

    /// What many packets at once go by, and what the kernel has not.
    static func text(of kernel: KernelOffloads) -> String {
        let device =
            if let offloads = kernel.device {
                [(SegmentOffloads.tcp, "TSO"), (.udp, "USO")].map { $1 + (offloads.contains($0) ? "" : " missing") }.joined(separator: ", ")
            } else {
                "not to be asked without CAP_NET_ADMIN and /dev/net/tun (as root: `ipsec-gw version`)"
            }
        let socket = [(kernel.cutsDatagrams, "UDP_SEGMENT"), (kernel.joinsDatagrams, "UDP_GRO")].map { $1 + ($0 ? "" : " missing") }
        return "TUN: \(device); UDP: \(socket.joined(separator: ", "))"
    }
}
