import GatewayCrypto
import IKEMessages
import Wire

/// The IKE SA replaced by either side, or by both at once, RFC 7296 sections 2.8.2, 2.18 and 2.25.2. Child SAs and session stay as they are.
extension Established {
    // MARK: The client's exchange

    /// Takes a request for another IKE SA up, or throws what it is refused with.
    mutating func beginRekey(_ request: CreateChildSARequest, id: UInt32, at now: Instant) throws(ExchangeError) -> IKERekey {
        // Section 2.25.1: not while a Child SA is made or closed by us, since that would go down with this IKE SA.
        guard !replaced.isWaiting, rival == nil, ourChild == nil, children.closing.isEmpty, keyExchanges.admits(at: now) else {
            throw .temporaryFailure
        }
        return try IKERekey.begin(request, messageID: id, accepting: newest.policy.transforms)
    }

    mutating func allot(ikeSPI spi: IKESPI?, at now: Instant, into outputs: inout [Output]) -> Ending? {
        if asked == .ikeSPI {
            asked = nil
            askForIKESA(spi, at: now, into: &outputs)
            return nil
        }
        guard let request = theirRekey else { return nil }
        theirRekey = nil
        guard let spi else { return refuse(.createChildSA, id: request.messageID, .temporaryFailure, into: &outputs) }
        let fresh: (successor: Successor, payloads: [Payload])
        do throws(CryptoError) {
            fresh = try request.finish(ours: spi, replacing: channel, keys: keys.value, at: now)
        } catch {
            return refuse(.createChildSA, id: request.messageID, .invalidSyntax, into: &outputs)
        }
        channel.respond(.createChildSA, id: request.messageID, fresh.payloads, into: &outputs)
        outputs.append(.listen(spi))
        guard ourRekey == nil else {
            // Both sides replace this IKE SA: it stays in use until our own exchange is answered (section 2.8.2).
            rival = fresh.successor
            return nil
        }
        let old = adopt(fresh.successor, at: now, into: &outputs)
        replaced.add(old, at: now, into: &outputs)
        return nil
    }

    // MARK: Our exchange

    private mutating func askForIKESA(_ spi: IKESPI?, at now: Instant, into outputs: inout [Output]) {
        isAging = false
        let offers = Offers.ike(current: proposal, allowing: newest.policy.transforms, isOutdated: isOutdated)
        guard let spi, let ours = try? OurIKERekey(spi: spi, offers: offers, keys: keys, entropy: channel.entropy) else {
            return postponeRekey(at: now)
        }
        ourRekey = ours
        channel.request(.rekeyIKESA, ours.payloads, at: now, into: &outputs)
    }

    private mutating func postponeRekey(at now: Instant) {
        channel.deadlines[.rekey] = Lifetimes.retry(before: channel.deadlines[.ageOut], at: now, entropy: channel.entropy)
    }

    mutating func rekeyAnswered(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        guard let ours = ourRekey else { return channel.sendQueued(at: now, into: &outputs) }
        let answer = try? CreateChildSAResponse(payloads: payloads)
        if case .accepted(let accepted) = answer,
            let fresh = ours.finish(accepted, replacing: channel, at: now)
        {
            outputs.append(.listen(ours.spi))
            return weigh(fresh, at: now, into: &outputs)
        }
        if case .refused(let notifies) = answer, rival == nil {
            var again = ours
            if let refusal = notifies[.invalidKEPayload], (try? again.follows(refusal, entropy: channel.entropy)) == true {
                ourRekey = again
                return channel.request(.rekeyIKESA, again.payloads, at: now, into: &outputs)
            }
            if notifies.contains(.temporaryFailure) { postponeRekey(at: now) }
        }
        // The client's own exchange decides, or this IKE SA stays as it is until its lifetime ends.
        if settle(on: rival, at: now, into: &outputs) { return }
        ourRekey = nil
        channel.sendQueued(at: now, into: &outputs)
    }

    /// Section 2.8.2: of two IKE SAs for one, that with the lowest of the four nonces is deleted by whoever asked for it; the other one has the
    /// Child SAs, and whoever asked for that deletes the old one.
    private mutating func weigh(_ fresh: Successor, at now: Instant, into outputs: inout [Output]) {
        let other = rival
        ourRekey = nil
        rival = nil
        if let other, Nonces.loses(fresh.lowestNonce, to: other.lowestNonce) {
            let old = adopt(other, at: now, into: &outputs)
            replaced.add(old, at: now, into: &outputs)
            replaced.delete(fresh.channel, at: now, into: &outputs)
        } else {
            let old = adopt(fresh, at: now, into: &outputs)
            if let other { replaced.add(other.channel, at: now, into: &outputs) }
            replaced.delete(old, at: now, into: &outputs)
        }
    }

    /// Our own exchange is forgotten: the client's has replaced the IKE SA. False when there was none.
    mutating func settle(on other: Successor?, oldIsDeleted: Bool = false, at now: Instant, into outputs: inout [Output]) -> Bool {
        guard let other else { return false }
        ourRekey = nil
        rival = nil
        let old = adopt(other, at: now, into: &outputs)
        if oldIsDeleted { replaced.linger(old, at: now, into: &outputs) } else { replaced.add(old, at: now, into: &outputs) }
        return true
    }

    /// The IKE SA gets new keys and SPIs; returns the old one.
    private mutating func adopt(_ successor: Successor, at now: Instant, into outputs: inout [Output]) -> Held<Channel> {
        let other = successor.channel
        other.value.takeOver(from: &channel, at: now)
        swap(&channel, &other.value)
        proposal = successor.proposal
        keys = successor.keys
        isAging = false
        isOutdated = false
        profile = newest
        renewed = nil
        channel.follow(profile, at: now)
        armLifetime(at: now)
        watch(at: now)
        outputs.append(.rekeyed(initiatorSPI: channel.initiatorSPI, responderSPI: channel.responderSPI))
        channel.sendQueued(at: now, into: &outputs)
        return other
    }
}
