import GatewayCrypto
import IKEMessages
import Wire

/// Child SAs: made, replaced and deleted by either side, RFC 7296 sections 1.3, 2.8.1 and 2.25.1.
extension Established {
    // MARK: The client's exchanges

    /// Takes a request for a Child SA up, or throws what it is refused with.
    mutating func beginChild(_ request: CreateChildSARequest, id: UInt32, at now: Instant) throws(ExchangeError) -> ChildExchange {
        // Section 2.25.2: not while the IKE SA is being replaced.
        guard ourRekey == nil else { throw .temporaryFailure }
        var old: ChildSA?
        if let rekeyed = request.rekeys {
            // Section 2.25.1: it is being closed, or the client's answer has just replaced it.
            guard !children.isClosing(rekeyed.spi) else { throw .temporaryFailure }
            // Or it is ours, and on its way into the datapath.
            if let agreed = ourChild?.agreed, ChildTable.octets(agreed.child.outboundSPI) == rekeyed.spi { throw .temporaryFailure }
            guard rekeyed.protocolID == .esp, let child = children.named(rekeyed.spi) else { throw .childSANotFound(spi: rekeyed.spi) }
            guard ourChild?.agreed == nil || ourChild?.replaces != child.sa.inboundSPI else { throw .temporaryFailure }
            old = child.sa
        }
        let alike = old == nil && request.notifies.asksForResource ? alike(request) : []
        guard alike.isEmpty || alike.count < newest.resources else { throw .tsMaxQueue }
        guard old == nil ? children.hasRoom : children.hasRoomToReplace else { throw .noAdditionalSAs }
        guard request.keyExchange == nil || keyExchanges.admits(at: now) else { throw .temporaryFailure }
        // A Child SA in the place of another keeps its selectors (features.md TS-6): Windows asks for everything again.
        var exchange = try ChildExchange.begin(
            request, messageID: id,
            terms: ChildMeasure(
                transforms: newest.childTransforms(for: grant), local: old?.localSelectors ?? newest.localSelectors(for: grant),
                remote: old?.remoteSelectors ?? grant.selectors, supersedes: old?.inboundSPI),
            entropy: channel.entropy)
        exchange.namesResource = request.notifies.asksForResource
        exchange.isPerResource = old?.isPerResource == true || !alike.isEmpty
        // Those of one group differ in their keys alone (RFC 9611 section 3).
        if let first = alike.first?.sa.suite {
            let suite = exchange.proposal
            guard first.suite == suite.suite, first.extendedSequenceNumbers == suite.extendedSequenceNumbers else { throw .noProposalChosen }
        }
        // Both sides replace one Child SA: answered as usual, and weighed when our own exchange is answered (section 2.8.1).
        if let old, ourChild?.replaces == old.inboundSPI { ourChild?.rival = exchange.origin }
        return exchange
    }

    /// The Child SAs that one for a further resource would stand beside: those with the selectors that it would have.
    private borrowing func alike(_ request: CreateChildSARequest) -> [Child] {
        guard let initiator = request.initiatorSelectors, let responder = request.responderSelectors else { return [] }
        return children.alike(
            Narrowing.narrow(responder, to: newest.localSelectors(for: grant)), Narrowing.narrow(initiator, to: grant.selectors))
    }

    mutating func allot(_ spi: UInt32?, at now: Instant, into outputs: inout [Output]) -> Ending? {
        if asked == .childSPI {
            asked = nil
            askForChild(inboundSPI: spi, at: now, into: &outputs)
            return nil
        }
        guard let held = theirChild else { return nil }
        guard let spi else {
            theirChild = nil
            forgetRival(of: held.value.supersedes)
            let error = held.value.purpose == .resource ? ExchangeError.tsMaxQueue : .noAdditionalSAs
            return refuse(.createChildSA, id: held.value.messageID, error, into: &outputs)
        }
        var child = childSA(
            held.value.proposal, inboundSPI: spi, local: held.value.localSelectors, remote: held.value.remoteSelectors)
        child.supersedes = held.value.supersedes
        child.isPerResource = held.value.isPerResource
        held.value.child = child
        outputs.append(.install(child))
        return nil
    }

    private borrowing func childSA(
        _ suite: ESPProposal, inboundSPI: UInt32, local: [TrafficSelector], remote: [TrafficSelector]
    ) -> ChildSA {
        ChildSA(
            inboundSPI: inboundSPI, outboundSPI: suite.spi, suite: suite, localSelectors: local, remoteSelectors: remote,
            lifetime: suite.lifetime ?? newest.policy.ipsecLifetime,
            soft: Lifetimes.traffic(suite.suite, packets: newest.packetLifetime, entropy: channel.entropy), grant: grant, local: channel.local,
            remote: channel.remote,
            peerBehindNAT: channel.nat.peerBehindNAT, isEncapsulated: channel.nat.needsEncapsulation(profile.policy))
    }

    borrowing func childKeys(inboundSPI: UInt32) -> ChildKeys? {
        if let held = theirChild, held.value.child?.inboundSPI == inboundSPI { return held.value.keys(keys.value) }
        guard let ourChild, ourChild.agreed?.child.inboundSPI == inboundSPI else { return nil }
        return ourChild.keys(keys.value)
    }

    mutating func installed(_ spi: UInt32, _ done: Bool, at now: Instant, into outputs: inout [Output]) -> Ending? {
        if let ours = ourChild, let agreed = ours.agreed, agreed.child.inboundSPI == spi {
            ourChild = nil
            stand(ours, agreed, done, at: now, into: &outputs)
            return nil
        }
        guard let held = theirChild, let child = held.value.child, child.inboundSPI == spi else { return nil }
        theirChild = nil
        guard done else {
            forgetRival(of: held.value.supersedes)
            outputs.append(.remove(inboundSPI: child.inboundSPI))
            return refuse(.createChildSA, id: held.value.messageID, .temporaryFailure, into: &outputs)
        }
        channel.respond(.createChildSA, id: held.value.messageID, held.value.payloads(inboundSPI: child.inboundSPI), into: &outputs)
        add(child, origin: held.value.origin, isConfirmed: false, at: now)
        if let old = child.supersedes { children.replace(old, by: spi, at: now) }
        // Ours stands already, and the client has seen that it has won.
        if let winner = held.value.losesTo { children.replace(spi, by: winner, at: now) }
        armChildren(at: now)
        outputs.append(.childEstablished(child))
        return nil
    }

    /// The client's exchange for this Child SA came to nothing: ours has nobody to be weighed against.
    private mutating func forgetRival(of old: UInt32?) {
        if let old, ourChild?.replaces == old { ourChild?.rival = nil }
    }

    /// What the client deletes, and our half of it; what we delete ourselves is not named (section 1.4.1).
    mutating func deleteChildren(_ message: InformationalMessage, at now: Instant, into outputs: inout [Output]) -> [Payload] {
        var gone: [[UInt8]] = []
        for spi in Set(message.deletes.filter { $0.protocolID == .esp }.flatMap(\.spis)) {
            if let child = children.named(spi) {
                gone.append(ChildTable.octets(child.sa.inboundSPI))
                _ = children.remove(child.sa.inboundSPI)
                outputs.append(.remove(inboundSPI: child.sa.inboundSPI))
            } else if let ours = children.crossed(spi) {
                outputs.append(.remove(inboundSPI: ours))
            } else if let agreed = ourChild?.agreed, ChildTable.octets(agreed.child.outboundSPI) == spi {
                // Made by us, and gone before the datapath had it.
                gone.append(ChildTable.octets(agreed.child.inboundSPI))
                ourChild = nil
                outputs.append(.remove(inboundSPI: agreed.child.inboundSPI))
            } else if let count = ourChild?.deleted.count, count < ChildTable.mostInstalled {
                ourChild?.deleted.insert(spi)
            }
        }
        armChildren(at: now)
        return gone.isEmpty ? [] : [.delete(DeletePayload(protocolID: .esp, spis: gone.sorted { $0.lexicographicallyPrecedes($1) }))]
    }

    // MARK: Our exchanges

    /// Windows refuses what we begin behind a NAT (features.md X-13).
    var mayReplaceChildren: Bool { !isWindows || !channel.nat.peerBehindNAT }

    /// Asks the client for a Child SA in the place of the one whose time has come.
    private mutating func askForChild(inboundSPI spi: UInt32?, at now: Instant, into outputs: inout [Output]) {
        let lost = lostChild
        let aging = children.aging
        guard let old = lost ?? aging?.sa else {
            if let spi { outputs.append(.remove(inboundSPI: spi)) }
            return
        }
        lostChild = nil
        let later = again(aging?.sa.inboundSPI, at: now)
        guard let spi, children.hasRoomToReplace else {
            if let spi { outputs.append(.remove(inboundSPI: spi)) }
            children.postpone(old.inboundSPI, until: later)
            return armChildren(at: now)
        }
        let isOutdated = lost == nil && aging?.isOutdated == true
        let offers = Offers.esp(current: old.suite, allowing: newest.childTransforms(for: grant), isShy: isWindows, isOutdated: isOutdated)
        do throws(CryptoError) {
            var ours = try OurChildExchange(replacing: old, fromScratch: lost != nil, offers: offers, entropy: channel.entropy)
            ours.inboundSPI = spi
            ourChild = ours
            channel.request(.createChildSA, ours.payloads(inboundSPI: spi), at: now, into: &outputs)
        } catch {
            outputs.append(.remove(inboundSPI: spi))
            children.postpone(old.inboundSPI, until: later)
            armChildren(at: now)
        }
    }

    mutating func childAnswered(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        guard let ours = ourChild, let spi = ours.inboundSPI else { return }
        guard let answer = try? CreateChildSAResponse(payloads: payloads) else { return giveUp(ours, retryAt: nil, at: now, into: &outputs) }
        switch answer {
        case .refused(let notifies): refused(ours, notifies, at: now, into: &outputs)
        case .accepted(let accepted):
            switch ours.measure(accepted) {
            case .unacceptable(let outboundSPI):
                giveUp(ours, retryAt: nil, at: now, into: &outputs)
                if let outboundSPI { closeUnused(spi, outboundSPI: outboundSPI, at: now, into: &outputs) }
            case .agreed(let suite, let secret, let local, let remote):
                // Deleted before we heard of it.
                guard !ours.deleted.contains(ChildTable.octets(suite.spi)) else {
                    return giveUp(ours, retryAt: again(ours.replaces, at: now), at: now, into: &outputs)
                }
                // Section 2.8.1: of two that were made for one, that with the lowest of the four nonces is closed by whoever made it.
                if let rival = ours.rival, Nonces.loses(Nonces.lowest(ours.nonce, accepted.nonce.octets), to: rival.lowestNonce) {
                    giveUp(ours, retryAt: nil, at: now, into: &outputs)
                    closeUnused(spi, outboundSPI: suite.spi, at: now, into: &outputs)
                    return
                }
                var child = childSA(suite, inboundSPI: spi, local: local, remote: remote)
                child.supersedes = ours.replaces
                child.isPerResource = ours.isPerResource
                child.isOutboundReady = true
                ourChild?.agreed = OurChildExchange.Agreed(child: child, responderNonce: accepted.nonce.octets, secret: secret)
                outputs.append(.install(child))
            }
        }
    }

    private mutating func refused(_ ours: OurChildExchange, _ notifies: Notifies, at now: Instant, into outputs: inout [Output]) {
        let old = ours.replaces.flatMap { children[$0] }
        if let refusal = notifies[.invalidKEPayload], let spi = ours.inboundSPI, ours.replaces == nil || old?.replaced == nil && old != nil {
            var again = ours
            if (try? again.follows(refusal, entropy: channel.entropy)) == true {
                ourChild = again
                return channel.request(.createChildSA, again.payloads(inboundSPI: spi), at: now, into: &outputs)
            }
        }
        if notifies.contains(.temporaryFailure) {
            return giveUp(ours, retryAt: again(ours.replaces, at: now), at: now, into: &outputs)
        }
        giveUp(ours, retryAt: nil, at: now, into: &outputs)
        guard notifies.contains(.childSANotFound), let old, children.remove(old.sa.inboundSPI) != nil else { return }
        // Section 2.25.1: it is gone there, so it goes here without a word; the client gets another, unless it has one.
        outputs.append(.remove(inboundSPI: old.sa.inboundSPI))
        // One of several that carry the same is the client's to ask for.
        if old.replaced == nil, ours.rival == nil, !old.sa.isPerResource { lostChild = old.sa }
        armChildren(at: now)
    }

    /// When to try again to replace a Child SA.
    private borrowing func again(_ inboundSPI: UInt32?, at now: Instant) -> Instant {
        Lifetimes.retry(before: inboundSPI.flatMap { children[$0]?.lifetimeEnd }, at: now, entropy: channel.entropy)
    }

    /// Our exchange came to nothing; what it was to replace stays until `retryAt`, or until its lifetime ends.
    private mutating func giveUp(_ ours: OurChildExchange, retryAt: Instant?, at now: Instant, into outputs: inout [Output]) {
        ourChild = nil
        if let spi = ours.inboundSPI { outputs.append(.remove(inboundSPI: spi)) }
        if let old = ours.replaces { children.postpone(old, until: retryAt) }
        armChildren(at: now)
    }

    /// The client agreed and the datapath has it, or cannot.
    private mutating func stand(
        _ ours: OurChildExchange, _ agreed: OurChildExchange.Agreed, _ done: Bool, at now: Instant, into outputs: inout [Output]
    ) {
        let child = agreed.child
        guard done else {
            giveUp(ours, retryAt: again(ours.replaces, at: now), at: now, into: &outputs)
            return closeUnused(child.inboundSPI, outboundSPI: child.outboundSPI, at: now, into: &outputs)
        }
        let origin = ours.replaces.map {
            Child.Origin(role: .initiator, replaces: $0, lowestNonce: Nonces.lowest(ours.nonce, agreed.responderNonce))
        }
        add(child, origin: origin, at: now)
        outputs.append(.childEstablished(child))
        guard let old = ours.replaces else { return }
        // The client's own, which has lost, is the client's to delete.
        for other in children.live where other.origin?.role == .responder && other.origin?.replaces == old {
            children.replace(other.sa.inboundSPI, by: child.inboundSPI, at: now)
        }
        if theirChild?.value.supersedes == old { theirChild?.value.losesTo = child.inboundSPI }
        closeChild(old, keepsReceiving: true, at: now, into: &outputs)
        armChildren(at: now)
    }

    // MARK: The table

    mutating func add(_ child: ChildSA, origin: Child.Origin?, isConfirmed: Bool = true, at now: Instant) {
        var rekeyAt: Instant?
        if mayReplaceChildren {
            rekeyAt =
                now
                + (isWindows
                    ? Lifetimes.late(child.lifetime, entropy: channel.entropy) : Lifetimes.soft(child.lifetime, entropy: channel.entropy))
        }
        children.add(
            Child(
                sa: child, lifetimeEnd: now + child.lifetime, rekeyAt: rekeyAt, origin: origin,
                unconfirmedUntil: isConfirmed ? nil : now + ChildTable.confirmation))
        armChildren(at: now)
    }

    mutating func armChildren(at now: Instant) {
        channel.deadlines[.childAgeOut] = children.nextExpiry
        channel.deadlines[.childRekey] = children.nextRekey
        if !children.isEmpty {
            channel.deadlines[.childless] = nil
        } else if channel.deadlines[.childless] == nil {
            channel.deadlines[.childless] = now + Self.childlessLifetime
        }
    }

    /// Deletes a Child SA. `keepsReceiving`: another has come in its place, and the client sends by it until it hears of this.
    mutating func closeChild(_ spi: UInt32, keepsReceiving: Bool, at now: Instant, into outputs: inout [Output]) {
        guard let child = children.remove(spi) else { return }
        if !keepsReceiving { outputs.append(.remove(inboundSPI: spi)) }
        children.close(child, isInstalled: keepsReceiving)
        requestDelete(spi, at: now, into: &outputs)
        armChildren(at: now)
    }

    /// Deletes what the client has made and we do not use.
    private mutating func closeUnused(_ spi: UInt32, outboundSPI: UInt32, at now: Instant, into outputs: inout [Output]) {
        children.close(inboundSPI: spi, outboundSPI: outboundSPI)
        requestDelete(spi, at: now, into: &outputs)
    }

    private mutating func requestDelete(_ spi: UInt32, at now: Instant, into outputs: inout [Output]) {
        channel.request(
            .deleteChildSA(spi: spi), [.delete(DeletePayload(protocolID: .esp, spis: [ChildTable.octets(spi)]))], at: now, into: &outputs)
    }
}
