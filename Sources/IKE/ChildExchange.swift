import GatewayCrypto
import IKEMessages
import Wire

/// A CREATE_CHILD_SA request of the client for a Child SA that is being answered: a further one, or one in the place of another (RFC 7296 section 1.3).
/// Nothing is answered before the datapath has it, so this waits across an SPI and an installation.
struct ChildExchange: ~Copyable, Sendable {
    let messageID: UInt32
    let proposal: ESPProposal
    let initiatorNonce: [UInt8]
    let responderNonce: [UInt8]
    /// g^ir of this exchange, when it has its own key exchange (PFS).
    let secret: Held<SecretOctets>?
    /// Our half of it.
    let keyExchange: KeyExchangePayload?
    let localSelectors: [TrafficSelector]
    let remoteSelectors: [TrafficSelector]
    /// Our SPI of the Child SA that this one replaces.
    let supersedes: UInt32?
    /// SA_RESOURCE_INFO came, and is answered with one.
    var namesResource = false
    /// It is, or takes the place of, one that serves a resource of its own (RFC 9611).
    var isPerResource = false
    /// Described once its SPI is known.
    var child: ChildSA?
    /// Our SPI of the Child SA that has won over this one (RFC 7296 section 2.8.1).
    var losesTo: UInt32?

    var purpose: ChildPurpose { supersedes.map { .replacing($0) } ?? (isPerResource ? .resource : .further) }

    /// nil for a further Child SA.
    var origin: Child.Origin? {
        supersedes.map { Child.Origin(role: .responder, replaces: $0, lowestNonce: Nonces.lowest(initiatorNonce, responderNonce)) }
    }

    /// KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr), RFC 7296 section 2.17.
    borrowing func keys(_ keys: borrowing SAKeys) -> ChildKeys? {
        guard let secret else {
            return try? keys.childKeys(suite: proposal.suite, initiatorNonce: initiatorNonce, responderNonce: responderNonce)
        }
        return try? keys.childKeys(
            suite: proposal.suite, secret: secret.value, initiatorNonce: initiatorNonce, responderNonce: responderNonce)
    }

    /// The response: SA, Nr, [KEr], TSi, TSr.
    borrowing func payloads(inboundSPI: UInt32) -> [Payload] {
        var payloads: [Payload] = [
            .securityAssociation(
                SecurityAssociationPayload(proposals: [proposal.response(spi: inboundSPI, keyExchange: keyExchange?.method)])),
            .nonce(NoncePayload(octets: responderNonce)),
        ]
        if let keyExchange { payloads.append(.keyExchange(keyExchange)) }
        if namesResource { payloads.append(.notify(NotifyPayload(.saResourceInfo))) }
        payloads += [
            .initiatorTrafficSelectors(TrafficSelectorPayload(selectors: remoteSelectors)),
            .responderTrafficSelectors(TrafficSelectorPayload(selectors: localSelectors)),
        ]
        return payloads
    }
}

/// What a CREATE_CHILD_SA request is measured by.
struct ChildMeasure {
    let transforms: [IPsecTransform]
    /// TSr and TSi at the most.
    let local: [TrafficSelector]
    let remote: [TrafficSelector]
    let supersedes: UInt32?
}

extension ChildExchange {
    /// Takes a request up, or throws what it is refused with.
    static func begin(
        _ request: CreateChildSARequest, messageID: UInt32, terms: ChildMeasure, entropy: any Entropy
    ) throws(ExchangeError) -> ChildExchange {
        guard let initiator = request.initiatorSelectors, let responder = request.responderSelectors else { throw .invalidSyntax }
        guard
            let proposal = ProposalSelection.esp(
                from: request.proposals, accepting: terms.transforms, keyExchange: .allowed(request.keyExchange?.method))
        else { throw .noProposalChosen }
        let remote = Narrowing.narrow(initiator, to: terms.remote)
        let local = Narrowing.narrow(responder, to: terms.local)
        guard !remote.isEmpty, !local.isEmpty else { throw .tsUnacceptable }
        // In the place of another it is never narrower than the traffic in use (threats.md P24).
        guard terms.supersedes == nil || (Narrowing.lies(terms.local, within: local) && Narrowing.lies(terms.remote, within: remote)) else {
            throw .tsUnacceptable
        }
        var secret: Held<SecretOctets>?
        var ours: KeyExchangePayload?
        if let group = proposal.keyExchange {
            guard let theirs = request.keyExchange, theirs.method == group else { throw .invalidKeyExchange(preferred: group) }
            do throws(CryptoError) {
                let key = try KeyExchange(group, entropy: entropy)
                secret = Held(try key.sharedSecret(with: theirs.data))
                ours = KeyExchangePayload(method: group, data: key.publicValue)
            } catch {
                // A public value that is no group element.
                throw .invalidSyntax
            }
        }
        return ChildExchange(
            messageID: messageID, proposal: proposal, initiatorNonce: request.nonce.octets,
            responderNonce: entropy.octets(Initiation.nonceLength), secret: secret, keyExchange: ours, localSelectors: local,
            remoteSelectors: remote, supersedes: terms.supersedes, child: nil)
    }
}
