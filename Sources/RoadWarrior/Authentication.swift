import GatewayCrypto
import IKEMessages
import Wire

extension RoadWarrior {
    /// HDR, SK {IDi, [N(INITIAL_CONTACT),] [IDr,] AUTH, [CP(CFG_REQUEST),] SAi2, TSi, TSr}  -->  RFC 7296 section 1.2.
    mutating func authenticate(at now: Instant, into outputs: inout [Output]) {
        let auth: [UInt8]
        do {
            auth = try authenticationValue(
                message: initiation.request, otherNonce: initiation.responderNonce, identity: settings.identity, ours: true)
        } catch {
            return close(.cryptography(error), into: &outputs)
        }
        while offeredSPI < 256 { offeredSPI = settings.entropy.octets(4).reduce(0) { $0 << 8 | UInt32($1) } }
        var spi: [UInt8] = []
        spi.append(bigEndian: offeredSPI)

        var payloads: [Payload] = [.initiatorIdentification(settings.identity)]
        if settings.initialContact { payloads.append(.notify(NotifyPayload(.initialContact))) }
        if let wanted = settings.remoteIdentity { payloads.append(.responderIdentification(wanted)) }
        payloads.append(
            .authentication(AuthenticationPayload(method: .sharedKey, data: auth)))
        if let attributes = settings.configuration {
            payloads.append(.configuration(ConfigurationPayload(type: .request, attributes: attributes)))
        }
        payloads += settings.authNotifies.map { .notify($0) }
        let proposals = settings.espProposals.map {
            Proposal(number: $0.number, protocolID: $0.protocolID, spi: spi, transforms: $0.transforms)
        }
        payloads.append(.securityAssociation(SecurityAssociationPayload(proposals: proposals)))
        payloads.append(.initiatorTrafficSelectors(TrafficSelectorPayload(selectors: settings.localSelectors)))
        payloads.append(.responderTrafficSelectors(TrafficSelectorPayload(selectors: settings.remoteSelectors)))
        ask(.ikeAuth, payloads, for: .authentication, at: now, into: &outputs)
    }

    /// AUTH of either side, RFC 7296 section 2.15: each signs its own first message, the other's nonce and its own identity.
    private func authenticationValue(
        message: [UInt8], otherNonce: [UInt8], identity: IdentificationPayload, ours: Bool
    ) throws(CryptoError) -> [UInt8] {
        switch keys {
        case .some(let keys):
            if ours {
                return try Derivation.authentication(
                    keys.suite.prf, presharedKey: settings.presharedKey.revealed(), message: message,
                    otherNonce: otherNonce, identity: identity.body, identityKey: keys.initiatorIdentity)
            }
            return try Derivation.authentication(
                keys.suite.prf, presharedKey: settings.presharedKey.revealed(), message: message,
                otherNonce: otherNonce, identity: identity.body, identityKey: keys.responderIdentity)
        case .none: throw .unsupported
        }
    }

    /// <--  HDR, SK {IDr, AUTH, [CP(CFG_REPLY),] SAr2, TSi, TSr}, or notifications of errors.
    mutating func receiveAuthResponse(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        guard let identity = payloads.responderIdentification, let auth = payloads.authentication else {
            guard let error = payloads.firstError else {
                return close(.violation("an IKE_AUTH response without IDr and AUTH"), into: &outputs)
            }
            let refusal = Refusal(exchange: .ikeAuth, notify: error, authenticated: true)
            outputs.append(.refused(refusal))
            return close(.refused(refusal), into: &outputs)
        }
        if let fault = authenticationFault(identity, auth) {
            // RFC 7296 section 2.21.2: the responder, who believes the SA to stand, is told in a new exchange.
            ask(
                .informational, [.notify(NotifyPayload(.authenticationFailed))], for: .authenticationFailed, at: now,
                into: &outputs)
            return close(.responderNotAuthenticated(fault), into: &outputs)
        }
        stage = .established
        lastHeard = now
        if let interval = settings.liveness { deadlines[.liveness] = now + interval }
        if behindNAT || settings.natClaim == .behindNAT, encapsulated, let interval = settings.natKeepalive {
            deadlines[.keepalive] = now + interval
        }
        guard let suite = keys?.suite else { return }
        outputs.append(.established(established(identity, suite, payloads)))
        if let error = payloads.firstError {
            outputs.append(.refused(Refusal(exchange: .ikeAuth, notify: error, authenticated: true)))
            return
        }
        do {
            try establishChild(payloads)
        } catch {
            violate(error.words, at: now, into: &outputs)
            return
        }
        if let facts = child?.facts { outputs.append(.childEstablished(facts)) }
    }

    /// Why the responder is not who it must be, or nil.
    private func authenticationFault(_ identity: IdentificationPayload, _ auth: AuthenticationPayload) -> String? {
        if let wanted = settings.remoteIdentity, wanted.type != identity.type || wanted.data != identity.data {
            return "it says it is \(identity.words), not \(wanted.words)"
        }
        guard auth.method == .sharedKey else { return "it used another authentication method" }
        do {
            let expected = try authenticationValue(
                message: initiation.response, otherNonce: initiation.nonce, identity: identity, ours: false)
            let right = SecretOctets(copying: expected).isEqual(to: auth.data)
            return right ? nil : "its AUTH value is wrong; does it know the same key?"
        } catch {
            return "cryptography failed: \(error)"
        }
    }

    private func established(
        _ identity: IdentificationPayload, _ suite: IKESuite, _ payloads: [Payload]
    ) -> Established {
        let attributes = payloads.configurationReply ?? []
        func values(_ type: ConfigurationAttributeType) -> [[UInt8]] {
            attributes.filter { $0.type == type }.map(\.value)
        }
        func addresses(_ four: ConfigurationAttributeType, _ six: ConfigurationAttributeType) -> [IPAddress] {
            values(four).compactMap { $0.count == 4 ? IPAddress(octets: $0) : nil }
                + values(six).compactMap { $0.count == 16 || $0.count == 17 ? IPAddress(octets: $0.prefix(16)) : nil }
        }
        let subnets4 = values(.internalIP4Subnet).compactMap { value -> IPPrefix? in
            guard value.count == 8, let address = IPAddress(octets: value[0..<4]), let mask = IPAddress(octets: value[4..<8])
            else { return nil }
            return IPPrefix(address, length: (0...32).first { IPPrefix(address, length: $0)?.netmask == mask } ?? -1)
        }
        let subnets6 = values(.internalIP6Subnet).compactMap { value -> IPPrefix? in
            guard value.count == 17, let address = IPAddress(octets: value[0..<16]) else { return nil }
            return IPPrefix(address, length: Int(value[16]))
        }
        return Established(
            initiatorSPI: initiatorSPI, responderSPI: responderSPI, responderIdentity: identity, suite: suite,
            innerAddresses: addresses(.internalIP4Address, .internalIP6Address),
            dns: addresses(.internalIP4DNS, .internalIP6DNS), subnets: subnets4 + subnets6, attributes: attributes,
            notifies: payloads.notifies, encapsulated: encapsulated)
    }

    /// Checks the gateway's choice and narrowing (RFC 7296 sections 2.7 and 2.9) and cuts the keys.
    private mutating func establishChild(_ payloads: [Payload]) throws(Choice.Fault) {
        guard let proposals = payloads.proposals, let local = payloads.initiatorSelectors,
            let remote = payloads.responderSelectors, !local.isEmpty, !remote.isEmpty
        else { throw Choice.Fault(words: "neither a Child SA nor the reason why there is none") }
        let choice = try Choice.esp(proposals, of: settings.espProposals)
        guard local.allSatisfy({ selector in settings.localSelectors.contains { $0.covers(selector) } }),
            remote.allSatisfy({ selector in settings.remoteSelectors.contains { $0.covers(selector) } })
        else { throw Choice.Fault(words: "selectors that are wider than those asked for") }
        do {
            guard let material = try childMaterial(ChildSA.materialLength(choice)) else {
                throw Choice.Fault(words: "no keys")
            }
            child = try ChildSA(
                choice, inboundSPI: offeredSPI, outboundSPI: choice.spi, material: material, localSelectors: local,
                remoteSelectors: remote, replayWindow: settings.replayWindow)
        } catch let fault as Choice.Fault {
            throw fault
        } catch {
            throw Choice.Fault(words: "cryptography failed: \(error)")
        }
    }

    private func childMaterial(_ count: Int) throws(CryptoError) -> SecretOctets? {
        switch keys {
        case .some(let keys):
            return try Derivation.childMaterial(
                keys.suite.prf, derivation: keys.derivation, initiatorNonce: initiation.nonce,
                responderNonce: initiation.responderNonce, count: count)
        case .none: return nil
        }
    }
}

extension IdentificationPayload {
    /// The identity for a log line: text where it is text, else hexadecimal; escaped and cut at 64 octets.
    package var words: String {
        switch type {
        case .ipv4Address, .ipv6Address: IPAddress(octets: data)?.description ?? data.hexadecimal
        case .fqdn, .rfc822Address, .keyID:
            data.prefix(64).allSatisfy({ (0x21...0x7e).contains($0) })
                ? String(decoding: data.prefix(64), as: UTF8.self) : [UInt8](data.prefix(64)).hexadecimal
        default: [UInt8](data.prefix(64)).hexadecimal
        }
    }
}
