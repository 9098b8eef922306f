import GatewayCrypto
import IKEMessages
package import Wire

/// A CREATE_CHILD_SA exchange of ours for a new IKE SA, RFC 7296 sections 1.3.2 and 2.18.
final class IKEExchange {
    let spi: IKESPI
    let nonce: [UInt8]
    let key: KeyBox
    /// The gateway's exchange that crossed ours, and the IKE SA that it made.
    var rival: (nonces: Nonces, association: Association)?

    init(spi: IKESPI, nonce: [UInt8], key: KeyBox) {
        self.spi = spi
        self.nonce = nonce
        self.key = key
    }
}

/// What a rekey of the gateway made.
struct RekeyedByGateway {
    let association: Association
    let nonces: Nonces
}

extension RoadWarrior {
    /// Replaces the IKE SA; the Child SAs stay.
    package mutating func rekeyIKE(at now: Instant, into outputs: inout [Output]) {
        wishes.insert(.ikeRekey)
        sendWaiting(on: ike, at: now, into: &outputs)
    }

    /// HDR, SK {SA, Ni, KEi}  -->
    mutating func beginIKERekey(
        with method: KeyExchangeMethod? = nil, at now: Instant, into outputs: inout [Output]
    ) {
        guard let method = method ?? ike.keys?.suite.keyExchange else { return }
        let exchange: IKEExchange
        do {
            exchange = IKEExchange(
                spi: freshIKESPI(), nonce: settings.entropy.octets(32), key: try KeyBox(method, entropy: settings.entropy))
        } catch {
            return close(.cryptography(error), into: &outputs)
        }
        ikeExchange = exchange
        ask(
            .createChildSA,
            [
                .securityAssociation(SecurityAssociationPayload(proposals: offers(exchange.spi, settings.ikeProposals))),
                .nonce(NoncePayload(octets: exchange.nonce)), .keyExchange(exchange.key.payload),
            ], for: .ikeRekey, at: now, into: &outputs)
    }

    func freshIKESPI() -> IKESPI {
        var spi: IKESPI = 0
        while spi == 0 { spi = settings.entropy.octets(8).reduce(0) { $0 << 8 | UInt64($1) } }
        return spi
    }

    private func offers(_ spi: IKESPI, _ proposals: [Proposal]) -> [Proposal] {
        var octets: [UInt8] = []
        octets.append(bigEndian: spi)
        return proposals.map { Proposal(number: $0.number, protocolID: $0.protocolID, spi: octets, transforms: $0.transforms) }
    }

    /// <--  HDR, SK {SA, Nr, KEr}, or a notification of an error.
    mutating func receiveRekeyedIKE(
        _ payloads: [Payload], on old: Association, at now: Instant, into outputs: inout [Output]
    ) {
        guard let exchange = ikeExchange, old === ike else { return }
        ikeExchange = nil
        if let error = payloads.firstError {
            return ikeRefused(error, exchange, at: now, into: &outputs)
        }
        let made: Association
        let nonces: Nonces
        do {
            (made, nonces) = try association(of: exchange, old, payloads)
        } catch {
            return violate(error.words, at: now, into: &outputs)
        }
        if let rival = exchange.rival, nonces.lose(to: rival.nonces) {
            // What we made is redundant and ours to delete; the gateway deletes the old one.
            former.removeAll { $0 === rival.association }
            replace(with: rival.association, byUs: false, at: now, into: &outputs)
            former.append(made)
            return delete(made, at: now, into: &outputs)
        }
        replace(with: made, byUs: true, at: now, into: &outputs)
        delete(old, at: now, into: &outputs)
    }

    private mutating func ikeRefused(
        _ error: NotifyPayload, _ exchange: IKEExchange, at now: Instant, into outputs: inout [Output]
    ) {
        if let rival = exchange.rival {
            former.removeAll { $0 === rival.association }
            return replace(with: rival.association, byUs: false, at: now, into: &outputs)
        }
        switch error.type {
        case .invalidKEPayload:
            let wanted = KeyExchangeMethod(rawValue: error.data.reduce(0) { $0 << 8 | UInt16($1) })
            guard error.data.count == 2, exchange.key.key.method != wanted, settings.ikeProposals.offer(wanted) else { break }
            return beginIKERekey(with: wanted, at: now, into: &outputs)
        case .temporaryFailure:
            deadlines[.ikeRekey] = now + settings.rekeyRetry
            return
        default: break
        }
        outputs.append(.refused(Refusal(exchange: .createChildSA, notify: error, authenticated: true)))
    }

    private func association(
        of exchange: IKEExchange, _ old: Association, _ payloads: [Payload]
    ) throws(Choice.Fault) -> (Association, Nonces) {
        guard let proposals = payloads.proposals, let nonce = payloads.nonce, let peer = payloads.keyExchange, let keys = old.keys
        else { throw Choice.Fault(words: "a CREATE_CHILD_SA response that lacks a payload") }
        let (suite, spi) = try Choice.rekeyedIKE(proposals, of: settings.ikeProposals)
        guard suite.keyExchange == exchange.key.key.method, peer.method == suite.keyExchange else {
            throw Choice.Fault(words: "the key exchange is not of the method that we sent")
        }
        do {
            let shared = try exchange.key.key.sharedSecret(with: peer.data)
            let made = try Association(
                isInitiator: true, initiatorSPI: exchange.spi, responderSPI: spi,
                keys: IKEKeys(
                    rekeying: keys, suite, shared: shared, initiatorNonce: exchange.nonce, responderNonce: nonce,
                    initiatorSPI: exchange.spi, responderSPI: spi))
            return (made, Nonces(exchange.nonce, nonce))
        } catch {
            throw Choice.Fault(words: "cryptography failed: \(error)")
        }
    }

    /// The response to a rekey of the gateway, and what it made; RFC 7296 section 2.25.2 says when it has to wait.
    func answerIKERekey(on sa: Association, _ payloads: [Payload]) -> ([Payload], RekeyedByGateway?) {
        guard sa === ike, stage == .established, childExchange == nil, !children.contains(where: \.isClosing),
            ikeExchange?.rival == nil, former.count < Self.mostFormer, let keys = sa.keys
        else { return ([.notify(NotifyPayload(.temporaryFailure))], nil) }
        guard let offered = payloads.proposals, let nonce = payloads.nonce, let peer = payloads.keyExchange else {
            return ([.notify(NotifyPayload(.invalidSyntax))], nil)
        }
        let chosen: (answer: Proposal, suite: IKESuite, spi: IKESPI)
        do {
            chosen = try Choice.answerIKE(offered, with: settings.ikeProposals, keyExchange: peer.method)
        } catch {
            switch error {
            case .otherMethod(let method):
                var data: [UInt8] = []
                data.append(bigEndian: method.rawValue)
                return ([.notify(NotifyPayload(.invalidKEPayload, data: data))], nil)
            case .none: return ([.notify(NotifyPayload(.noProposalChosen))], nil)
            }
        }
        let spi = freshIKESPI()
        let ours = settings.entropy.octets(32)
        do {
            let key = try KeyBox(chosen.suite.keyExchange, entropy: settings.entropy)
            let shared = try key.key.sharedSecret(with: peer.data)
            let made = try Association(
                isInitiator: false, initiatorSPI: chosen.spi, responderSPI: spi,
                keys: IKEKeys(
                    rekeying: keys, chosen.suite, shared: shared, initiatorNonce: nonce, responderNonce: ours,
                    initiatorSPI: chosen.spi, responderSPI: spi))
            return (
                [
                    .securityAssociation(SecurityAssociationPayload(proposals: offers(spi, [chosen.answer]))),
                    .nonce(NoncePayload(octets: ours)), .keyExchange(key.payload),
                ], RekeyedByGateway(association: made, nonces: Nonces(nonce, ours))
            )
        } catch {
            return ([.notify(NotifyPayload(.invalidSyntax))], nil)
        }
    }

    /// Goes over to what the gateway's rekey made, unless one of ours is under way: then the nonces decide when it is answered.
    mutating func take(up made: RekeyedByGateway, by us: Bool, at now: Instant, into outputs: inout [Output]) {
        if let exchange = ikeExchange {
            exchange.rival = (made.nonces, made.association)
            former.append(made.association)
        } else {
            replace(with: made.association, byUs: us, at: now, into: &outputs)
        }
    }

    /// The new IKE SA takes over all Child SAs, and the requests that wait.
    mutating func replace(with new: Association, byUs: Bool, at now: Instant, into outputs: inout [Output]) {
        let old = ike
        new.window.waiting = old.window.waiting + new.window.waiting
        old.window.waiting = []
        former.append(old)
        ike = new
        wishes.remove(.ikeRekey)
        deadlines[.ikeRekey] = settings.ikeRekey.map { now + $0 }
        outputs.append(.ikeRekeyed(initiatorSPI: new.initiatorSPI, responderSPI: new.responderSPI, byUs: byUs))
    }

    /// Asks the gateway to delete an IKE SA that was replaced.
    private mutating func delete(_ old: Association, at now: Instant, into outputs: inout [Output]) {
        old.isClosing = true
        ask(
            .informational, [.delete(DeletePayload(protocolID: .ike, spis: []))], for: .delete, on: old, at: now, into: &outputs)
    }
}
