import Datapath
import ESP
import FoundationEssentials
import IKE
import IKEMessages
import LinuxIO
import ManagementAPI
import Wire

/// How log and operator see an IKE SA.
extension IKEEngine {
    func subject(_ entry: Entry, identity: IdentificationPayload? = nil) -> EventLog.Subject {
        EventLog.Subject(
            session: String(entry.id), gateway: entry.gateway.name,
            identity: identity?.text ?? entry.peer?.text, remote: entry.remote)
    }

    /// Every IKE SA with its Child SAs, for `ipsec-gwctl sas`.
    func securityAssociations() -> [SecurityAssociationReport] {
        let now = MonotonicClock.now
        return entries.values.map { entry in
            let suite = entry.sa.proposal
            let since = entry.establishedAt
            return SecurityAssociationReport(
                session: entry.hasSession ? String(entry.id) : "", gateway: entry.gateway.name, local: entry.local, remote: entry.remote,
                initiatorSPI: entry.sa.initiatorSPI, responderSPI: entry.sa.responderSPI, state: entry.sa.stageName,
                encryption: AlgorithmNames.encryption(suite.suite),
                integrity: AlgorithmNames.integrity(suite.suite),
                pseudorandomFunction: AlgorithmNames.pseudorandomFunction(suite.prf),
                keyExchange: AlgorithmNames.keyExchange(suite.keyExchange), established: since?.wall,
                remainingSeconds: since.map { Self.seconds($0.clock + suite.lifetime - now) },
                children: entry.children.compactMap { report($0.sa, since: $0.since, at: now) })
        }
    }

    private func report(_ child: ChildSA, since: (wall: Date, clock: Instant), at now: Instant) -> ChildReport? {
        guard let spi = LocalSPI(rawValue: child.inboundSPI), let status = environment.datapath.status(child: spi) else { return nil }
        return ChildReport(
            inboundSPI: child.inboundSPI, outboundSPI: child.outboundSPI, encryption: AlgorithmNames.encryption(child.suite.suite),
            integrity: AlgorithmNames.integrity(child.suite.suite), extendedSequenceNumbers: child.suite.extendedSequenceNumbers,
            udpEncapsulation: child.isEncapsulated, localSelectors: child.localSelectors.map(\.description),
            remoteSelectors: child.remoteSelectors.map(\.description), established: since.wall,
            remainingSeconds: Self.seconds(since.clock + child.lifetime - now), sequenceIn: status.highestInbound,
            sequenceOut: status.lastOutbound,
            replay: ChildReport.Replay(window: status.replayWindow, recent: status.replayBitmap), worker: status.worker,
            octetsIn: status.counters.octetsIn, octetsOut: status.counters.octetsOut, packetsIn: status.counters.packetsIn,
            packetsOut: status.counters.packetsOut)
    }

    private static func seconds(_ duration: Duration) -> UInt64 {
        UInt64(max(0, duration.components.seconds))
    }
}
