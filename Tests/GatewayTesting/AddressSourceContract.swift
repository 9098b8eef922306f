package import AddressAssignment
package import Wire

/// What every `AddressSource` keeps to, as a model beside one: feed inputs through it and it says what was broken.
///
/// No address has two owners (threats.md I2); a grant answers a request, once, and comes after the `.store` of its record; a released lease
/// is told to the disk; a deadline is armed only ahead.
package struct AddressSourceContract<Source: AddressSource> {
    package private(set) var source: Source
    /// Whom each address belongs to.
    package private(set) var owners: [IPAddress: Lease] = [:]
    /// Whom each address belongs to as far as somebody waited for the disk: what a crash at the worst moment leaves.
    private var durable: [IPAddress: String] = [:]
    /// What the disk holds after all outputs were carried out.
    package private(set) var disk: [IPAddress: LeaseRecord] = [:]
    package private(set) var armed: Instant?
    package private(set) var violations: [String] = []
    package private(set) var now: Instant
    private var nextRequest: UInt64 = 1
    private var nextSession: UInt64 = 1

    package init(_ source: Source, at now: Instant = Instant(nanoseconds: 1_000_000_000)) {
        self.source = source
        self.now = now
    }

    package init(_ source: Source, disk: [IPAddress: LeaseRecord], outputs: [AddressOutput], at now: Instant) {
        self.init(source, at: now)
        self.disk = disk
        durable = disk.mapValues(\.identity)
        for output in outputs { carryOut(output) }
    }

    /// Asks for an address for a new session.
    package mutating func request(
        _ identity: String, wanted: IPAddress? = nil, within: IPPrefix? = nil, family: AddressFamily = .ipv4
    ) -> Result<Lease, AddressRefusal> {
        let session = LeaseSession(nextSession)
        nextSession += 1
        var request = LeaseRequest(identity: identity, wanted: wanted, family: family, session: session)
        request.within = within
        return ask(session, identity) { .request($0, request) }
    }

    package mutating func takeOver(_ lease: Lease) -> Result<Lease, AddressRefusal> {
        let session = LeaseSession(nextSession)
        nextSession += 1
        if owners[lease.address] == lease { owners[lease.address] = nil }
        return ask(session, lease.identity) { .takeOver($0, lease, by: session) }
    }

    package mutating func release(_ lease: Lease) {
        let isOwner = owners[lease.address] == lease
        if isOwner { owners[lease.address] = nil }
        for output in feed(.release(lease)) {
            if case .granted = output { violations.append("a release granted an address") }
        }
        if isOwner, disk[lease.address]?.isLive ?? false {
            violations.append("\(lease.address) was released, and the disk still says it is live")
        }
    }

    /// Moves the clock, striking every deadline on the way.
    package mutating func advance(by duration: Duration) {
        let target = now + duration
        var strikes = 0
        while let next = armed, next <= target {
            now = max(now, next)
            armed = nil
            _ = feed(.deadline)
            strikes += 1
            guard strikes < 100_000 else {
                violations.append("deadlines without end")
                break
            }
        }
        now = target
    }

    private mutating func ask(
        _ session: LeaseSession, _ identity: String, _ input: (RequestID) -> AddressInput
    ) -> Result<Lease, AddressRefusal> {
        let id = RequestID(nextRequest)
        nextRequest += 1
        var answer: Result<Lease, AddressRefusal>?
        for output in feed(input(id)) {
            switch output {
            case .granted(let granted, let lease):
                if granted != id || answer != nil { violations.append("an answer to no question") }
                if let owner = owners[lease.address] {
                    violations.append("\(lease.address) given to \(identity) while \(owner.identity) has it")
                }
                if lease.session != session || lease.identity != identity { violations.append("a lease of somebody else") }
                if disk[lease.address]?.identity != identity || disk[lease.address]?.isLive != true {
                    violations.append("\(lease.address) granted before its record was stored")
                }
                owners[lease.address] = lease
                answer = .success(lease)
            case .refused(let refused, let reason):
                if refused != id || answer != nil { violations.append("an answer to no question") }
                answer = .failure(reason)
            default: break
            }
        }
        if answer == nil { violations.append("a question without an answer") }
        if case .success(let lease) = answer { _ = feed(.stored(lease)) }
        return answer ?? .failure(.notLeased)
    }

    private mutating func feed(_ input: AddressInput) -> [AddressOutput] {
        var outputs: [AddressOutput] = []
        source.handle(input, at: now, into: &outputs)
        for output in outputs { carryOut(output) }
        return outputs
    }

    private mutating func carryOut(_ output: AddressOutput) {
        switch output {
        case .store(let record):
            disk[record.address] = record
            durable[record.address] = record.identity
        case .note(let record):
            if durable[record.address] != record.identity { violations.append("\(record.address) noted, and a crash would lose whose it is") }
            disk[record.address] = record
        case .forget(let record):
            if owners[record.address] != nil { violations.append("\(record.address) forgotten while in use") }
            disk[record.address] = nil
            durable[record.address] = nil
        case .arm(let instant): armed = instant
        case .granted, .refused: break
        }
    }
}
