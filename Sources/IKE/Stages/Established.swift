import GatewayCrypto
import IKEMessages
import Wire

/// The client is authenticated. Built from a `VerifiedPeer` alone (invariant I1). What the exchanges do is in EstablishedMessages.swift,
/// EstablishedChildren.swift and EstablishedRekey.swift.
struct Established: ~Copyable, Sendable {
    var channel: Channel
    var proposal: IKEProposal
    var keys: Held<SAKeys>
    /// What this IKE SA was made with.
    var profile: GatewayProfile
    /// What the next is made with, and Child SAs: another after a reload.
    var newest: GatewayProfile {
        get { renewed ?? profile }
        set { renewed = newValue }
    }
    @Seldom var renewed: GatewayProfile?
    let peer: VerifiedPeer
    let grant: AddressGrant
    /// Windows has views of its own on who may replace what (features.md X-13).
    let isWindows: Bool
    var children = ChildTable()
    /// The client's request for a Child SA that is being answered.
    var theirChild: Held<ChildExchange>?
    /// Our own.
    @Seldom var ourChild: OurChildExchange?
    /// A Child SA that the client has lost: it gets another from scratch (RFC 7296 section 2.25.1).
    @Seldom var lostChild: ChildSA?
    /// The client's request for another IKE SA, until we have an SPI for it.
    @Seldom var theirRekey: IKERekey?
    /// Our own, until it is answered.
    @Seldom var ourRekey: OurIKERekey?
    /// The IKE SA of the client's exchange where it met ours: which of the two stays is not known yet (RFC 7296 section 2.8.2).
    @Seldom var rival: Successor?
    var replaced = ReplacedSAs()
    /// The IKE SA is to be replaced as soon as nothing stands in the way.
    var isAging = false
    /// Proposals have changed since it was made.
    var isOutdated = false
    /// An SPI was asked for, for an exchange of ours; the answer comes within the same feed.
    var asked: OwnQuestion?
    /// Key exchanges that a client may ask for (threats.md P22).
    var keyExchanges = RateCap(perSecond: 2)

    enum OwnQuestion { case childSPI, ikeSPI }

    /// How the IKE SA ends.
    enum Ending {
        /// We end it: the client is told.
        case delete(ClosingReason)
        /// The client ended it or broke it; our last response is repeated for a while.
        case linger(ClosingReason)
        /// Nobody is there to be told.
        case silent(ClosingReason)
    }

    /// An IKE SA that lost its last Child SA waits this long for a new one.
    static let childlessLifetime = Duration.seconds(60)

    init(login: consuming Login, peer: VerifiedPeer, child: ChildSA, at now: Instant) {
        isWindows = ClientSoftware.isWindows(initRequest: login.signed.request)
        proposal = login.proposal
        grant = child.grant
        channel = login.channel
        keys = Held(login.keys)
        profile = login.profile
        self.peer = peer
        channel.deadlines.clear()
        armLifetime(at: now)
        add(child, origin: nil, at: now)
        watch(at: now)
    }

    /// Hard and soft lifetime of the IKE SA in use.
    mutating func armLifetime(at now: Instant) {
        channel.deadlines[.ageOut] = now + proposal.lifetime
        channel.deadlines[.rekey] = now + Lifetimes.soft(proposal.lifetime, entropy: channel.entropy)
    }

    /// Arms the next liveness check: `interval` after the last sign of life.
    mutating func watch(at now: Instant) {
        guard let detection = profile.policy.deadPeerDetection, !detection.replyOnly else { return channel.deadlines[.liveness] = nil }
        channel.deadlines[.liveness] = max(channel.lastHeard + detection.interval, now + .milliseconds(1))
    }

    var nextDeadline: Instant? {
        .earlier(channel.nextDeadline, .earlier(rival?.channel.value.nextDeadline, replaced.nextDeadline))
    }

    consuming func handle(_ input: Input, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        if let ending = take(input, at: now, into: &outputs) { return finish(ending, at: now, into: &outputs) }
        beginOwnExchange(at: now, into: &outputs)
        return .established(self)
    }

    private mutating func take(_ input: Input, at now: Instant, into outputs: inout [Output]) -> Ending? {
        switch input {
        case .datagram(let datagram): return receive(datagram, at: now, into: &outputs)
        case .deadline: return strike(at: now, into: &outputs)
        case .close(let reason): return .delete(reason)
        case .childAging(let spi):
            if mayReplaceChildren {
                children.age(spi)
                armChildren(at: now)
            }
        case .childExhausted(let spi): closeChild(spi, keepsReceiving: false, at: now, into: &outputs)
        case .moved(let remote):
            if channel.nat.peerBehindNAT { channel.remote = remote }
        case .activity(let seen): check(seen, at: now, into: &outputs)
        case .childSPI(let spi): return allot(spi, at: now, into: &outputs)
        case .installed(let spi, let done): return installed(spi, done, at: now, into: &outputs)
        case .ikeSPI(let spi): return allot(ikeSPI: spi, at: now, into: &outputs)
        case .profile(let profile): renew(profile)
        case .peer, .signature, .eap, .address: break
        }
        return nil
    }

    /// Nothing of what stands changes; what is made from now on is made so.
    private mutating func renew(_ profile: GatewayProfile) {
        if profile.childTransforms(for: grant) != newest.childTransforms(for: grant) { children.outdate() }
        if profile.policy.transforms != newest.policy.transforms { isOutdated = true }
        newest = profile
        // Whether ESP goes inside UDP was settled with the client in IKE_SA_INIT (features.md X-9).
        newest.policy.natTraversal.force = self.profile.policy.natTraversal.force
    }

    private mutating func strike(at now: Instant, into outputs: inout [Output]) -> Ending? {
        rival?.channel.value.keepUp(on: .deadline, at: now, into: &outputs)
        replaced.strike(at: now, into: &outputs)
        for deadline in channel.deadlines.expired(at: now) {
            switch deadline {
            case .retransmit:
                if !channel.retransmit(at: now, into: &outputs), !settle(on: rival, at: now, into: &outputs) { return .silent(.deadPeer) }
            case .liveness: outputs.append(.ask(.activity))
            case .ageOut: return .delete(.lifetime)
            case .rekey: isAging = true
            case .childAgeOut:
                for spi in children.expired(at: now) { closeChild(spi, keepsReceiving: false, at: now, into: &outputs) }
                armChildren(at: now)
            case .childRekey:
                children.ageDue(at: now)
                armChildren(at: now)
            case .childless: return .delete(.childless)
            case .replaced, .halfOpen: break
            }
        }
        return nil
    }

    /// The datapath's answer to a liveness deadline: traffic is as good as a message (RFC 7296 section 2.4).
    private mutating func check(_ seen: Instant?, at now: Instant, into outputs: inout [Output]) {
        if let seen { channel.lastHeard = max(channel.lastHeard, min(seen, now)) }
        if let detection = profile.policy.deadPeerDetection, now - channel.lastHeard >= detection.interval {
            if channel.outstanding == nil { channel.request(.liveness, [], at: now, into: &outputs) }
            // While a request is out its own repetitions decide; look again when they would have.
            channel.deadlines[.liveness] = now + detection.interval
        } else {
            watch(at: now)
        }
    }

    /// Begins what is due, one exchange at a time: nothing else is under way from either side.
    private mutating func beginOwnExchange(at now: Instant, into outputs: inout [Output]) {
        guard channel.outstanding == nil, channel.queued.isEmpty, asked == nil, ourChild == nil, ourRekey == nil, theirChild == nil,
            theirRekey == nil
        else { return }
        if isAging, !replaced.isWaiting {
            asked = .ikeSPI
            outputs.append(.ask(.ikeSPI))
        } else if lostChild != nil || children.aging != nil {
            asked = .childSPI
            let old = lostChild == nil ? children.aging?.sa.inboundSPI : nil
            outputs.append(.ask(.childSPI(old.map { .replacing($0) } ?? .further)))
        }
    }

    // MARK: Endings

    private consuming func finish(_ ending: Ending, at now: Instant, into outputs: inout [Output]) -> IKESA.Stage {
        for spi in children.removeAll() { outputs.append(.remove(inboundSPI: spi)) }
        if let child = theirChild?.value.child { outputs.append(.remove(inboundSPI: child.inboundSPI)) }
        if let spi = ourChild?.inboundSPI { outputs.append(.remove(inboundSPI: spi)) }
        let (rekey, rival) = (ourRekey, rival)
        switch ending {
        case .delete(let reason):
            if let rival { replaced.delete(rival.channel, at: now, into: &outputs) }
            return Deleting.begin(channel: channel, reason: reason, replaced: replaced, rekey: rekey, at: now, into: &outputs)
        case .linger(let reason):
            if let rival { replaced.add(rival.channel, at: now, into: &outputs) }
            outputs.append(.ended(reason))
            return .lingering(Lingering(channel: channel, replaced: replaced, at: now))
        case .silent(let reason):
            outputs += [.ended(reason), .closed]
            return .closed
        }
    }
}
