import Datapath
import FoundationEssentials
import GatewayCrypto
import IKE
import IKEMessages
import Wire

extension IKEEngine {
    /// An IKE SA with what belongs to it outside the machine.
    final class Entry {
        var sa: IKESA
        /// The session's number, from the first message on.
        let id: UInt64
        /// Its settings as the login began, and of now once that is over.
        var gateway: GatewayRuntime
        let local: Endpoint
        var remote: Endpoint
        let initiation: InitiationKey
        /// Our SPIs of this IKE SA: several while one replaces another.
        var spis: Set<IKESPI> = []
        var worker = 0
        /// Makes our own AUTH value, where that is a signature.
        var signer: GatewayCertificates.Signer?
        var tunnel: TunnelID?
        /// SPIs allocated and not yet in the datapath.
        var reserved: Set<UInt32> = []
        /// Who it is, once that is proved and the session stands.
        var peer: IdentificationPayload?
        var establishedAt: (wall: Date, clock: Instant)?
        var children: [(sa: ChildSA, since: (wall: Date, clock: Instant))] = []
        var hasSession = false
        /// What it said in EAP that it is, escaped.
        var claimedName: String?
        var isSettled = false
        /// The earliest deadline that stands in the heap.
        var armed: Instant?
        /// What is done outside for this SA happens in order.
        var work: Task<Void, Never>?
        /// Counts works: the last one is the one that nobody waits for.
        var workNumber = 0

        init(sa: consuming IKESA, id: UInt64, gateway: GatewayRuntime, datagram: IKEDatagram, initiation: InitiationKey) {
            self.sa = sa
            self.id = id
            self.gateway = gateway
            local = datagram.local
            remote = datagram.remote
            self.initiation = initiation
        }
    }

    /// An IKE_SA_INIT request as a whole: SPIi and address alone do not tell two clients apart (threats.md P8).
    struct InitiationKey: Hashable {
        let digest: [UInt8]
        let remote: Endpoint
    }
}
