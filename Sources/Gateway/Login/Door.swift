import Datapath
import GatewayCrypto
import IKE
import IKEMessages
import Synchronization
import Wire

/// What the door hands to a shard.
enum Admitted: Sendable {
    /// A new IKE_SA_INIT; `hasCookie` is read again when it is taken up (threats.md P2).
    case initiation(IKEDatagram, hasCookie: Bool, lifetime: Duration)
    case message(IKESPI, IKEDatagram)
}

/// What a shard tells the door.
enum DoorNotice: Sendable {
    case opened(IKESPI, IKEDatagram)
    case turnedAway(IKEDatagram)
    case settled(IKESPI, local: IPAddress)
    case closed(IKESPI, local: IPAddress)
    /// An established IKE SA has another SPI too.
    case replaced(IKESPI, local: IPAddress)
    case limits([IPAddress: IKEPolicy])
}

/// The door thread's side of the control plane: one `Responder` per gateway address, shards behind it.
///
/// Every method but `notify` runs on the door thread alone, which owns the responders.
final class Door: DoorReceiver, @unchecked Sendable {
    // @unchecked: `responders` belongs to the door thread; everything else is immutable or synchronised.
    private final class Guardian {
        var responder: Responder
        init(_ responder: consuming Responder) { self.responder = responder }
    }

    private var guardians: [IPAddress: Guardian] = [:]
    private let shards: [Mailbox<Admitted>]
    private let notices: Mailbox<DoorNotice>
    private let hasNotices = Atomic<Bool>(false)
    /// Whether cookies are asked for at some gateway; read by the shards (threats.md P2).
    let cookiesRequired = Atomic<Bool>(false)
    private let statistics: DoorStatistics
    private let entropy: any Entropy

    /// Messages that may wait for one shard, and notices for the door.
    static let mailboxCapacity = 8192

    init(
        gateways: [IPAddress: IKEPolicy], shards: [Mailbox<Admitted>], statistics: DoorStatistics, entropy: any Entropy, at now: Instant,
        wake: @escaping @Sendable () -> Void
    ) throws(CryptoError) {
        self.shards = shards
        self.statistics = statistics
        self.entropy = entropy
        // A notice must never be lost, or counts would drift: the box is bounded by what is alive, not by a cap.
        notices = Mailbox(capacity: .max, wake: wake)
        for (address, policy) in gateways { try open(address, policy, at: now) }
    }

    private func open(_ address: IPAddress, _ policy: IKEPolicy, at now: Instant) throws(CryptoError) {
        guardians[address] = Guardian(
            try Responder(limits: policy.halfOpen, initExchangeLimit: policy.initExchangeLimit, entropy: entropy, at: now))
    }

    /// From any thread: what became of an admitted message.
    func notify(_ notice: DoorNotice) {
        put(notice)
        // Also when no datagram comes: gauges and the cookie flag are right only after the door has heard of it.
        notices.signal()
    }

    /// The same where the door is woken soon: one bell for what a transition answers, and for what the door must hear of it.
    func put(_ notice: DoorNotice) {
        _ = notices.push(notice)
        hasNotices.store(true, ordering: .releasing)
    }

    /// The shard that owns an IKE SA, and the shard that takes up a new one: retransmissions of one request meet at one shard.
    static func shard(of spi: IKESPI, among count: Int) -> Int { Int(spi & 0xf) % max(1, count) }

    private func shard(forNew datagram: IKEDatagram) -> Int {
        var hasher = Hasher()
        hasher.combine(datagram.remote)
        hasher.combine(datagram.octets.prefix(8))
        return Int(hasher.finalize().magnitude % UInt(max(1, shards.count)))
    }

    // MARK: DoorReceiver, on the door thread

    func receive(
        _ datagram: UnsafeRawBufferPointer, from remote: Endpoint, to local: Endpoint, at now: Instant,
        reply: (UnsafeRawBufferPointer) -> Void
    ) {
        takeNotices(at: now)
        guard let guardian = guardians[local.address] else { return }
        let verdict = unsafe guardian.responder.judge(RawSpan(_unsafeBytes: datagram), from: remote, at: now)
        switch verdict {
        case .drop(let reason): statistics.count(reason)
        case .reply:
            statistics.countReply()
            unsafe guardian.responder.reply.withUnsafeBytes { unsafe reply($0) }
        case .initiate(let hasCookie):
            let message = unsafe IKEDatagram([UInt8](datagram), local: local, remote: remote)
            let lifetime = guardian.responder.halfOpenLifetime(at: now)
            if !shards[shard(forNew: message)].push(.initiation(message, hasCookie: hasCookie, lifetime: lifetime)) {
                guardian.responder.turnedAway(remote.address)
                statistics.count(.tableFull)
            }
        case .route(let spi):
            let message = unsafe IKEDatagram([UInt8](datagram), local: local, remote: remote)
            if !shards[Self.shard(of: spi, among: shards.count)].push(.message(spi, message)) { statistics.count(.tableFull) }
        }
    }

    func drained(at now: Instant) {
        takeNotices(at: now)
        for shard in shards { shard.signal() }
    }

    func woken(at now: Instant) { takeNotices(at: now) }

    private func takeNotices(at now: Instant) {
        guard hasNotices.exchange(false, ordering: .acquiringAndReleasing) else { return }
        for notice in notices.drain() {
            switch notice {
            case .opened(let spi, let datagram): guardians[datagram.local.address]?.responder.opened(spi, from: datagram.remote.address)
            case .turnedAway(let datagram): guardians[datagram.local.address]?.responder.turnedAway(datagram.remote.address)
            case .settled(let spi, let local): guardians[local]?.responder.settled(spi)
            case .closed(let spi, let local): guardians[local]?.responder.closed(spi)
            case .replaced(let spi, let local): guardians[local]?.responder.replaced(spi)
            case .limits(let gateways):
                for (address, policy) in gateways {
                    guardians[address]?.responder.adopt(policy.halfOpen, policy.initExchangeLimit)
                }
            }
        }
        publish(at: now)
    }

    private func publish(at now: Instant) {
        var halfOpen = 0
        var required = false
        for guardian in guardians.values {
            halfOpen += guardian.responder.halfOpen
            if guardian.responder.requiresCookie(at: now) { required = true }
        }
        cookiesRequired.store(required, ordering: .releasing)
        statistics.publish(halfOpen: halfOpen)
    }
}
