import IKEMessages
import Wire

/// A Child SA that stands.
struct Child: Sendable {
    let sa: ChildSA
    /// Hard lifetime.
    let lifetimeEnd: Instant
    /// When it is to be replaced; nil once that has begun, and never for some clients (features.md X-13).
    var rekeyAt: Instant?
    /// Its time has come: the next exchange that may begin replaces it.
    var isAging = false
    /// Proposals have changed since it was made.
    var isOutdated = false
    /// Our SPI of the Child SA in whose place it has come; what the exchange of both was weighed by.
    var origin: Origin?
    /// The client asked for it and may not have our answer yet; until then it would not know what we want to replace.
    var unconfirmedUntil: Instant?
    /// Another has come in its place, and the client is to delete it by then.
    var replaced: (by: UInt32, until: Instant)?

    /// The exchange that made it in the place of another.
    struct Origin: Sendable {
        let role: Role
        let replaces: UInt32
        /// The lower of the exchange's two nonces (RFC 7296 section 2.8.1).
        let lowestNonce: [UInt8]
    }

    /// When we delete it, whoever should have.
    var expiry: Instant { replaced.map { min($0.until, lifetimeEnd) } ?? lifetimeEnd }
    var outboundSPI: [UInt8] { ChildTable.octets(sa.outboundSPI) }
}

/// A Child SA whose Delete is on its way from us.
struct ClosingChild: Sendable {
    let inboundSPI: UInt32
    let outboundSPI: UInt32
    /// It still receives: the client sends by it until it hears of the Delete.
    var isInstalled: Bool
}

/// The Child SAs of one IKE SA.
struct ChildTable: Sendable {
    private(set) var live: [Child] = []
    private(set) var closing: [ClosingChild] = []

    /// Child SAs of one IKE SA, what is being replaced not counted (threats.md P22).
    static let most = 8
    /// The same with what is being replaced: what the datapath has room for.
    static let mostInstalled = 16
    /// How long the client has to delete what it had us replace.
    static let replacedLifetime = Duration.seconds(60)
    /// How long an answer of ours may be on its way: longer than clients repeat a request.
    static let confirmation = Duration.seconds(180)

    var isEmpty: Bool { live.isEmpty }
    var installedCount: Int { live.count + closing.count { $0.isInstalled } }
    /// Whether one more may be asked for.
    var hasRoom: Bool { live.count { $0.replaced == nil } < Self.most && installedCount < Self.mostInstalled }
    var hasRoomToReplace: Bool { installedCount < Self.mostInstalled }

    /// Those that carry the same as this one would; what has been replaced is not counted.
    func alike(_ local: [TrafficSelector], _ remote: [TrafficSelector]) -> [Child] {
        live.filter { $0.replaced == nil && $0.sa.localSelectors == local && $0.sa.remoteSelectors == remote }
    }

    subscript(inboundSPI: UInt32) -> Child? { live.first { $0.sa.inboundSPI == inboundSPI } }

    /// By the SPI that the client receives with, as its messages name it.
    func named(_ spi: [UInt8]) -> Child? { live.first { $0.outboundSPI == spi } }
    func isClosing(_ spi: [UInt8]) -> Bool { closing.contains { Self.octets($0.outboundSPI) == spi } }

    var nextExpiry: Instant? { live.lazy.map(\.expiry).min() }
    var nextRekey: Instant? {
        live.lazy.compactMap { $0.replaced != nil ? nil : $0.isAging ? $0.unconfirmedUntil : $0.rekeyAt }.min()
    }
    func expired(at now: Instant) -> [UInt32] { live.filter { $0.expiry <= now }.map(\.sa.inboundSPI) }
    /// The one to replace next.
    var aging: Child? { live.first { $0.isAging && $0.replaced == nil && $0.unconfirmedUntil == nil } }

    mutating func add(_ child: Child) { live.append(child) }

    private mutating func change(_ inboundSPI: UInt32, _ body: (inout Child) -> Void) {
        guard let index = live.firstIndex(where: { $0.sa.inboundSPI == inboundSPI }) else { return }
        body(&live[index])
    }

    /// Its time has come; what has been replaced already is left to the client.
    mutating func age(_ inboundSPI: UInt32) {
        change(inboundSPI) {
            guard $0.replaced == nil else { return }
            $0.isAging = true
            $0.rekeyAt = nil
        }
    }

    /// Proposals are others from now on.
    mutating func outdate() {
        for index in live.indices { live[index].isOutdated = true }
    }

    /// A further request: with one at a time, the client has every answer before it (RFC 7296 section 2.3).
    mutating func confirm() {
        for index in live.indices { live[index].unconfirmedUntil = nil }
    }

    mutating func ageDue(at now: Instant) {
        for index in live.indices where live[index].unconfirmedUntil.map({ $0 <= now }) ?? false { live[index].unconfirmedUntil = nil }
        for child in live where child.rekeyAt.map({ $0 <= now }) ?? false { age(child.sa.inboundSPI) }
    }

    /// Not now, perhaps later; nil: the hard lifetime decides.
    mutating func postpone(_ inboundSPI: UInt32, until: Instant?) {
        change(inboundSPI) {
            $0.isAging = false
            $0.rekeyAt = until
        }
    }

    /// The client has another in its place, and will delete it.
    mutating func replace(_ inboundSPI: UInt32, by successor: UInt32, at now: Instant) {
        change(inboundSPI) { $0.replaced = (successor, now + Self.replacedLifetime) }
    }

    /// Takes one out. What it was to replace is on its own again.
    mutating func remove(_ inboundSPI: UInt32) -> Child? {
        guard let index = live.firstIndex(where: { $0.sa.inboundSPI == inboundSPI }) else { return nil }
        for other in live.indices where live[other].replaced?.by == inboundSPI { live[other].replaced = nil }
        return live.remove(at: index)
    }

    mutating func close(_ child: Child, isInstalled: Bool) {
        closing.append(ClosingChild(inboundSPI: child.sa.inboundSPI, outboundSPI: child.sa.outboundSPI, isInstalled: isInstalled))
    }

    /// One that the client made and we will not have.
    mutating func close(inboundSPI: UInt32, outboundSPI: UInt32) {
        closing.append(ClosingChild(inboundSPI: inboundSPI, outboundSPI: outboundSPI, isInstalled: false))
    }

    /// Its Delete was answered; whether it was still in the datapath.
    mutating func closed(_ inboundSPI: UInt32) -> Bool {
        guard let index = closing.firstIndex(where: { $0.inboundSPI == inboundSPI }) else { return false }
        return closing.remove(at: index).isInstalled
    }

    /// The client's Delete crosses ours: our SPI, if it was still in the datapath.
    mutating func crossed(_ spi: [UInt8]) -> UInt32? {
        guard let index = closing.firstIndex(where: { Self.octets($0.outboundSPI) == spi }), closing[index].isInstalled else { return nil }
        closing[index].isInstalled = false
        return closing[index].inboundSPI
    }

    /// Everything that is in the datapath, which is forgotten.
    mutating func removeAll() -> [UInt32] {
        let all = live.map(\.sa.inboundSPI) + closing.filter(\.isInstalled).map(\.inboundSPI)
        self = ChildTable()
        return all
    }

    static func octets(_ spi: UInt32) -> [UInt8] {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        return octets
    }
}
