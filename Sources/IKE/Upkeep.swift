import IKEMessages
import Wire

/// What an IKE SA does by itself in every stage, beside the deadlines that a stage knows.
enum UpkeepDeadline: Int, CaseIterable, Sendable {
    /// A message in fragments is not complete by then.
    case reassembly
    case keepAlive
    /// The client must have authenticated anew by then, RFC 4478.
    case reauthentication
}

extension Channel {
    /// How often keepalives go out where nothing is configured and we are behind a NAT (RFC 3948 section 4).
    static let defaultKeepAlive = Duration.seconds(20)

    var nextDeadline: Instant? {
        .earlier(deadlines.next, upkeep.next)
    }

    /// The client is authenticated: the NAT before us is kept open and the time to the next authentication runs.
    mutating func beginUpkeep(_ policy: IKEPolicy, authenticationLifetime lifetime: Duration?, at now: Instant) {
        fragmentation?.budget = nil
        keepAlive(by: policy, at: now)
        if let lifetime { upkeep[.reauthentication] = now + lifetime }
    }

    /// Takes the place of another IKE SA: what a rekey does not negotiate goes on, above all the time to the next authentication (RFC 4478 section
    /// 2). The old one is left with nothing to do by itself, and with no request of its own.
    mutating func takeOver(from old: inout Channel, at now: Instant) {
        if old.lastHeard >= lastHeard {
            lastHeard = old.lastHeard
            (local, remote) = (old.local, old.remote)
        }
        fragmentation = old.fragmentation
        keepAliveInterval = old.keepAliveInterval
        upkeep[.reauthentication] = old.upkeep[.reauthentication]
        armKeepAlive(at: now)
        for name in [SADeadline.liveness, .childAgeOut, .childRekey, .childless] { deadlines[name] = old.deadlines[name] }
        queued = old.queued
        old.queued = []
        old.deadlines.clear()
        old.forgetRequest()
        old.endUpkeep()
    }

    /// What nobody negotiates, as a reload has left it; the client was told the time to its next authentication, and that stays.
    mutating func follow(_ profile: GatewayProfile, at now: Instant) {
        liveness = profile.liveness
        fragmentation?.follow(profile.policy.fragmentation)
        keepAlive(by: profile.policy, at: now)
    }

    private mutating func keepAlive(by policy: IKEPolicy, at now: Instant) {
        keepAliveInterval = policy.natTraversal.keepAliveInterval ?? (nat.weBehindNAT ? Self.defaultKeepAlive : nil)
        armKeepAlive(at: now)
    }

    private mutating func armKeepAlive(at now: Instant) {
        // Without UDP encapsulation there is no mapping to keep.
        upkeep[.keepAlive] = local.port == 500 ? nil : keepAliveInterval.map { now + $0 }
    }

    mutating func endUpkeep() {
        upkeep[.keepAlive] = nil
        upkeep[.reauthentication] = nil
    }

    /// Does what is due before the stage looks at its own deadlines.
    mutating func keepUp(on input: Input, at now: Instant, into outputs: inout [Output]) {
        guard case .deadline = input else { return }
        for deadline in upkeep.expired(at: now) {
            switch deadline {
            case .reassembly:
                reassembly = nil
                outputs.append(.dropped(.reassemblyTimeout))
            case .keepAlive:
                outputs.append(.keepalive(from: local, to: remote))
                armKeepAlive(at: now)
            case .reauthentication: deadlines[.ageOut] = now
            }
        }
    }
}

extension NotifyPayload {
    /// AUTH_LIFETIME, RFC 4478 section 3: seconds, 32 bits.
    static func authLifetime(_ lifetime: Duration) -> NotifyPayload {
        var data: [UInt8] = []
        data.append(bigEndian: UInt32(clamping: lifetime.components.seconds))
        return NotifyPayload(.authLifetime, data: data)
    }
}
