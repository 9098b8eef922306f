import GatewayCrypto
import IKEMessages
package import Wire

/// A CREATE_CHILD_SA exchange of ours for a Child SA, RFC 7296 sections 1.3.1 and 1.3.3.
final class ChildExchange {
    /// Our SPI of the Child SA that is replaced; nil makes one where there is none.
    let replaced: UInt32?
    let inboundSPI: UInt32
    let nonce: [UInt8]
    /// For perfect forward secrecy, where the proposals name a method.
    let key: KeyBox?
    /// How often INVALID_KE_PAYLOAD made us begin anew.
    let restarts: Int
    /// A further one with the selectors of this Child SA, for another resource of ours (RFC 9611).
    let twin: UInt32?
    /// The gateway's exchange that crossed ours, and our SPI of what it made.
    var rival: (nonces: Nonces, inboundSPI: UInt32)?

    init(replacing: UInt32?, inboundSPI: UInt32, nonce: [UInt8], key: KeyBox?, restarts: Int, twin: UInt32? = nil) {
        self.twin = twin
        replaced = replacing
        self.inboundSPI = inboundSPI
        self.nonce = nonce
        self.key = key
        self.restarts = restarts
    }
}

extension RoadWarrior {
    /// What is begun as soon as no other request is under way.
    enum Wish: Hashable { case childRekey, ikeRekey, resource, rekeyOf(UInt32) }

    /// Replaces the Child SA; with a key exchange of its own where the ESP proposals name one.
    package mutating func rekeyChild(at now: Instant, into outputs: inout [Output]) {
        wishes.insert(.childRekey)
        sendWaiting(on: ike, at: now, into: &outputs)
    }

    mutating func fulfilWishes(at now: Instant, into outputs: inout [Output]) {
        guard stage == .established, childExchange == nil, ikeExchange == nil else { return }
        if wishes.remove(.ikeRekey) != nil { return beginIKERekey(at: now, into: &outputs) }
        if wishes.remove(.childRekey) != nil, let child, !child.isClosing, child.successor == nil {
            return beginChild(replacing: child, at: now, into: &outputs)
        }
        if wishes.remove(.resource) != nil, let child, !child.isClosing {
            return beginChild(replacing: nil, twin: child, at: now, into: &outputs)
        }
        for case .rekeyOf(let spi) in wishes {
            wishes.remove(.rekeyOf(spi))
            guard let old = children.first(where: { $0.inboundSPI == spi }), !old.isClosing, old.successor == nil else { continue }
            return beginChild(replacing: old, at: now, into: &outputs)
        }
    }

    /// HDR, SK {[N(REKEY_SA),] SA, Ni, [KEi,] TSi, TSr}  -->
    mutating func beginChild(
        replacing old: ChildSA?, twin: ChildSA? = nil, with method: KeyExchangeMethod? = nil, restarts: Int = 0, at now: Instant,
        into outputs: inout [Output]
    ) {
        var key: KeyBox?
        if let method = method ?? settings.espProposals.lazy.compactMap(\.firstKeyExchange).first {
            do {
                key = try KeyBox(method, entropy: settings.entropy)
            } catch {
                return close(.cryptography(error), into: &outputs)
            }
        }
        let exchange = ChildExchange(
            replacing: old?.inboundSPI, inboundSPI: freshSPI(), nonce: settings.entropy.octets(32), key: key, restarts: restarts,
            twin: twin?.inboundSPI)
        var payloads: [Payload] = []
        if let old {
            var notify = NotifyPayload(.rekeySA)
            notify.protocolID = SecurityProtocol.esp.rawValue
            notify.spi.append(bigEndian: old.inboundSPI)
            payloads.append(.notify(notify))
        }
        if twin != nil { payloads.append(.notify(NotifyPayload(.saResourceInfo))) }
        payloads.append(.securityAssociation(SecurityAssociationPayload(proposals: offers(exchange.inboundSPI, settings.espProposals))))
        payloads.append(.nonce(NoncePayload(octets: exchange.nonce)))
        if let key { payloads.append(.keyExchange(key.payload)) }
        payloads.append(
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: (old ?? twin)?.localSelectors ?? settings.localSelectors)))
        payloads.append(
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: (old ?? twin)?.remoteSelectors ?? settings.remoteSelectors)))
        childExchange = exchange
        ask(.createChildSA, payloads, for: .child, at: now, into: &outputs)
    }

    /// An SPI for packets to us; below 256 they are reserved.
    mutating func freshSPI() -> UInt32 {
        var spi = settings.childSPI?() ?? 0
        while spi < 256 || children.contains(where: { $0.inboundSPI == spi }) {
            spi = settings.entropy.octets(4).reduce(0) { $0 << 8 | UInt32($1) }
        }
        return spi
    }

    func offers(_ spi: UInt32, _ proposals: [Proposal]) -> [Proposal] {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        return proposals.map { Proposal(number: $0.number, protocolID: $0.protocolID, spi: octets, transforms: $0.transforms) }
    }

    /// <--  HDR, SK {SA, Nr, [KEr,] TSi, TSr}, or a notification of an error.
    mutating func receiveChild(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        guard let exchange = childExchange else { return }
        childExchange = nil
        let old = children.first { $0.inboundSPI == exchange.replaced }
        if let error = payloads.firstError {
            return childRefused(error, exchange, old, at: now, into: &outputs)
        }
        let made: ChildSA
        let nonces: Nonces
        do {
            (made, nonces) = try child(of: exchange, old, payloads)
        } catch {
            return violate(error.words, at: now, into: &outputs)
        }
        children.append(made)
        if let rival = exchange.rival, let theirs = children.first(where: { $0.inboundSPI == rival.inboundSPI }),
            nonces.lose(to: rival.nonces)
        {
            if old == nil || old === child { use(theirs, at: now) }
            return delete(made, at: now, into: &outputs)
        }
        if exchange.twin == nil, old == nil || old === child { use(made, at: now) }
        if let old, !old.isClosing { delete(old, at: now, into: &outputs) }
        guard let replaced = exchange.replaced else { return outputs.append(.childEstablished(made.facts)) }
        outputs.append(.childRekeyed(from: replaced, to: made.facts, byUs: true))
    }

    private mutating func childRefused(
        _ error: NotifyPayload, _ exchange: ChildExchange, _ old: ChildSA?, at now: Instant, into outputs: inout [Output]
    ) {
        switch error.type {
        case .invalidKEPayload:
            let wanted = KeyExchangeMethod(rawValue: error.data.reduce(0) { $0 << 8 | UInt16($1) })
            guard exchange.restarts < Initiation.maximumRestarts, old?.successor == nil, error.data.count == 2, exchange.key?.key.method != wanted,
                settings.espProposals.offer(wanted)
            else { break }
            let twin = children.first { $0.inboundSPI == exchange.twin }
            return beginChild(replacing: old, twin: twin, with: wanted, restarts: exchange.restarts + 1, at: now, into: &outputs)
        case .temporaryFailure where exchange.twin == nil:
            deadlines[.childRekey] = now + settings.rekeyRetry
            return
        case .childSANotFound where exchange.replaced != nil:
            // The gateway knows it no longer, so there is nothing to delete there, RFC 7296 section 2.25.1.
            if let old { children.removeAll { $0 === old } }
            if let other = children.last(where: { !$0.isClosing }) { return use(other, at: now) }
            child = nil
            return beginChild(replacing: nil, at: now, into: &outputs)
        default: break
        }
        outputs.append(.refused(Refusal(exchange: .createChildSA, notify: error, authenticated: true)))
        if let gone = exchange.replaced, children.isEmpty { outputs.append(.childClosed(gone)) }
    }

    /// Checks the gateway's choice (RFC 7296 sections 2.7, 2.9) and cuts the keys of section 2.17.
    private func child(
        of exchange: ChildExchange, _ old: ChildSA?, _ payloads: [Payload]
    ) throws(Choice.Fault) -> (ChildSA, Nonces) {
        guard let proposals = payloads.proposals, let nonce = payloads.nonce, let keys = ike.keys,
            let local = payloads.initiatorSelectors, let remote = payloads.responderSelectors, !local.isEmpty, !remote.isEmpty
        else { throw Choice.Fault(words: "a CREATE_CHILD_SA response that lacks a payload") }
        let choice = try Choice.esp(proposals, of: settings.espProposals)
        guard choice.keyExchange == exchange.key?.key.method, payloads.keyExchange?.method == choice.keyExchange else {
            throw Choice.Fault(words: "the key exchange is not of the method that we sent")
        }
        try checkSelectors(local, remote, within: old)
        do {
            var shared: SecretOctets?
            if let key = exchange.key, let peer = payloads.keyExchange { shared = try key.key.sharedSecret(with: peer.data) }
            let material = try Derivation.childMaterial(
                keys.suite.prf, derivation: keys.derivation, shared: shared, initiatorNonce: exchange.nonce, responderNonce: nonce,
                count: ChildSA.materialLength(choice))
            let made = try ChildSA(
                choice, inboundSPI: exchange.inboundSPI, material: material, isInitiator: true, localSelectors: local,
                remoteSelectors: remote, replayWindow: settings.replayWindow, keyLog: settings.childKeyLog)
            return (made, Nonces(exchange.nonce, nonce))
        } catch {
            throw Choice.Fault(words: "cryptography failed: \(error)")
        }
    }

    /// The gateway may narrow what we asked for, not widen it.
    func checkSelectors(_ local: [TrafficSelector], _ remote: [TrafficSelector], within old: ChildSA?) throws(Choice.Fault) {
        let (ours, theirs) = (old?.localSelectors ?? settings.localSelectors, old?.remoteSelectors ?? settings.remoteSelectors)
        guard local.allSatisfy({ selector in ours.contains { $0.covers(selector) } }),
            remote.allSatisfy({ selector in theirs.contains { $0.covers(selector) } })
        else { throw Choice.Fault(words: "selectors that are wider than those asked for") }
    }

    // MARK: The gateway's exchanges

    /// The response to a rekey of the gateway, RFC 7296 sections 2.8 and 2.25.1. What we send stays on the old SA until the gateway uses the new
    /// one or deletes the old.
    mutating func answerChildRekey(
        _ rekey: NotifyPayload, on sa: Association, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]
    ) -> [Payload] {
        let spi = rekey.spi.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        guard rekey.spi.count == 4, let old = children.first(where: { $0.outboundSPI == spi }) else {
            var notify = NotifyPayload(.childSANotFound)
            notify.protocolID = SecurityProtocol.esp.rawValue
            notify.spi = rekey.spi
            return [.notify(notify)]
        }
        guard sa === ike, stage == .established, ikeExchange == nil, !old.isClosing, old.successor == nil, let keys = sa.keys else {
            return [.notify(NotifyPayload(.temporaryFailure))]
        }
        guard let offered = payloads.proposals, let nonce = payloads.nonce, let remote = payloads.initiatorSelectors,
            let local = payloads.responderSelectors
        else { return [.notify(NotifyPayload(.invalidSyntax))] }
        let peer = payloads.keyExchange
        let answer: Proposal
        let choice: ESPChoice
        do {
            (answer, choice) = try Choice.answer(offered, with: settings.espProposals, keyExchange: peer?.method)
        } catch {
            switch error {
            case .otherMethod(let method):
                var data: [UInt8] = []
                data.append(bigEndian: method.rawValue)
                return [.notify(NotifyPayload(.invalidKEPayload, data: data))]
            case .none: return [.notify(NotifyPayload(.noProposalChosen))]
            }
        }
        guard old.localSelectors.allSatisfy({ own in local.contains { $0.covers(own) } }),
            old.remoteSelectors.allSatisfy({ own in remote.contains { $0.covers(own) } })
        else { return [.notify(NotifyPayload(.tsUnacceptable))] }

        let ours = settings.entropy.octets(32)
        let inbound = freshSPI()
        var key: KeyBox?
        let made: ChildSA
        do {
            var shared: SecretOctets?
            if let method = choice.keyExchange, let peer {
                let box = try KeyBox(method, entropy: settings.entropy)
                shared = try box.key.sharedSecret(with: peer.data)
                key = box
            }
            let material = try Derivation.childMaterial(
                keys.suite.prf, derivation: keys.derivation, shared: shared, initiatorNonce: nonce, responderNonce: ours,
                count: ChildSA.materialLength(choice))
            made = try ChildSA(
                choice, inboundSPI: inbound, material: material, isInitiator: false, localSelectors: old.localSelectors,
                remoteSelectors: old.remoteSelectors, replayWindow: settings.replayWindow, keyLog: settings.childKeyLog)
        } catch {
            return [.notify(NotifyPayload(.invalidSyntax))]
        }
        children.append(made)
        old.successor = inbound
        if let exchange = childExchange, exchange.replaced == old.inboundSPI {
            exchange.rival = (Nonces(nonce, ours), inbound)
        }
        outputs.append(.childRekeyed(from: old.inboundSPI, to: made.facts, byUs: false))
        var response: [Payload] = [
            .securityAssociation(SecurityAssociationPayload(proposals: offers(inbound, [answer]))),
            .nonce(NoncePayload(octets: ours)),
        ]
        if let key { response.append(.keyExchange(key.payload)) }
        response.append(.initiatorTrafficSelectors(TrafficSelectorPayload(selectors: old.remoteSelectors)))
        response.append(.responderTrafficSelectors(TrafficSelectorPayload(selectors: old.localSelectors)))
        return response
    }

    // MARK: The Child SAs there are

    /// Sends on this Child SA from now on.
    mutating func use(_ new: ChildSA, at now: Instant) {
        guard child !== new else { return }
        child = new
        wishes.remove(.childRekey)
        deadlines[.childRekey] = settings.childRekey.map { now + $0 }
    }

    /// Asks the gateway to delete a Child SA; packets that are on their way are taken until a moment after its answer.
    mutating func delete(_ old: ChildSA, at now: Instant, into outputs: inout [Output]) {
        guard stage == .established else { return }
        old.isClosing = true
        var spi: [UInt8] = []
        spi.append(bigEndian: old.inboundSPI)
        ask(
            .informational, [.delete(DeletePayload(protocolID: .esp, spis: [spi]))], for: .childDelete(old.inboundSPI), at: now,
            into: &outputs)
    }

    /// A Child SA that the gateway deleted.
    mutating func remove(_ gone: ChildSA, at now: Instant, into outputs: inout [Output]) {
        retire(gone, at: now)
        guard child === gone else { return }
        child = nil
        let next = children.first { $0.inboundSPI == gone.successor } ?? children.last { !$0.isClosing }
        if let next { return use(next, at: now) }
        // The answer to our own rekey tells how it goes on.
        if childExchange?.replaced != gone.inboundSPI { outputs.append(.childClosed(gone.inboundSPI)) }
    }
}

extension [Proposal] {
    func offer(_ method: KeyExchangeMethod) -> Bool {
        KeyExchange.supports(method)
            && contains { proposal in proposal.transforms.contains { $0.type == .keyExchange && $0.id == method.rawValue } }
    }
}
