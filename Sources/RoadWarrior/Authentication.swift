import GatewayCrypto
import IKEMessages
import Wire

extension RoadWarrior {
    /// HDR, SK {IDi, [CERT...,] [N(INITIAL_CONTACT),] [CERTREQ,] [IDr,] AUTH, [CP(CFG_REQUEST),] SAi2, TSi, TSr}  -->  RFC 7296 section 1.2.
    mutating func authenticate(at now: Instant, into outputs: inout [Output]) {
        var proof: (certificates: [Payload], authentication: AuthenticationPayload)?
        if let method = settings.eap {
            // Without AUTH, which says that we want EAP (RFC 7296 section 2.16).
            eap = EAPLogin(method: method)
        } else {
            do {
                proof = try self.proof()
            } catch {
                return close(.cryptography(error), into: &outputs)
            }
        }
        offeredSPI = freshSPI()

        var payloads: [Payload] = [.initiatorIdentification(settings.identity)]
        if let proof { payloads += proof.certificates }
        if settings.initialContact { payloads.append(.notify(NotifyPayload(.initialContact))) }
        if let trust = settings.trust {
            payloads.append(
                .certificateRequest(CertificateRequestPayload(encoding: .x509Signature, authorities: trust.authorities)))
        }
        if let wanted = settings.remoteIdentity { payloads.append(.responderIdentification(wanted)) }
        if let proof { payloads.append(.authentication(proof.authentication)) }
        if let attributes = settings.configuration {
            payloads.append(.configuration(ConfigurationPayload(type: .request, attributes: attributes)))
        }
        if settings.eap != nil, settings.allowsEAPOnly { payloads.append(.notify(NotifyPayload(.eapOnlyAuthentication))) }
        payloads += settings.authNotifies.map { .notify($0) }
        payloads.append(.securityAssociation(SecurityAssociationPayload(proposals: offers(offeredSPI, firstChildOffers))))
        payloads.append(.initiatorTrafficSelectors(TrafficSelectorPayload(selectors: settings.localSelectors)))
        payloads.append(.responderTrafficSelectors(TrafficSelectorPayload(selectors: settings.remoteSelectors)))
        ask(.ikeAuth, payloads, for: .authentication, at: now, into: &outputs)
    }

    /// The first Child SA has no key exchange of its own, RFC 7296 section 1.2.
    private var firstChildOffers: [Proposal] {
        settings.espProposals.map { proposal in
            Proposal(
                number: proposal.number, protocolID: proposal.protocolID, spi: proposal.spi,
                transforms: proposal.transforms.filter { $0.type != .keyExchange })
        }
    }

    /// <--  HDR, SK {IDr, [CERT...,] AUTH, [CP(CFG_REPLY),] SAr2, TSi, TSr}, or notifications of errors.
    mutating func receiveAuthResponse(_ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        if let eap { return receiveEAPResponse(payloads, eap, at: now, into: &outputs) }
        guard let identity = payloads.responderIdentification, let auth = payloads.authentication else {
            guard let error = payloads.firstError else {
                return close(.violation("an IKE_AUTH response without IDr and AUTH"), into: &outputs)
            }
            return refuse(.ikeAuth, error, into: &outputs)
        }
        if let fault = authenticationFault(identity, auth, certificates: payloads.certificates) {
            return distrust(fault, at: now, into: &outputs)
        }
        stand(identity, payloads, at: now, into: &outputs)
    }

    /// The gateway refused the login with an error.
    mutating func refuse(_ exchange: ExchangeType, _ error: NotifyPayload, into outputs: inout [Output]) {
        let refusal = Refusal(exchange: exchange, notify: error, authenticated: true)
        outputs.append(.refused(refusal))
        close(.refused(refusal), into: &outputs)
    }

    /// RFC 7296 section 2.21.2: the responder, who believes the SA to stand, is told in a new exchange.
    mutating func distrust(_ fault: String, at now: Instant, into outputs: inout [Output]) {
        ask(
            .informational, [.notify(NotifyPayload(.authenticationFailed))], for: .authenticationFailed, at: now,
            into: &outputs)
        close(.responderNotAuthenticated(fault), into: &outputs)
    }

    /// Both sides have proved who they are.
    mutating func stand(_ identity: IdentificationPayload, _ payloads: [Payload], at now: Instant, into outputs: inout [Output]) {
        stage = .established
        lastHeard = now
        if let interval = settings.liveness { deadlines[.liveness] = now + interval }
        if behindNAT || settings.natClaim == .behindNAT, encapsulated, let interval = settings.natKeepalive {
            deadlines[.keepalive] = now + interval
        }
        guard let suite = ike.keys?.suite else { return }
        outputs.append(.established(established(identity, suite, payloads)))
        if let error = payloads.firstError {
            outputs.append(.refused(Refusal(exchange: .ikeAuth, notify: error, authenticated: true)))
            return
        }
        do {
            try establishChild(payloads, at: now)
        } catch {
            violate(error.words, at: now, into: &outputs)
            return
        }
        deadlines[.ikeRekey] = settings.ikeRekey.map { now + $0 }
        if let facts = child?.facts { outputs.append(.childEstablished(facts)) }
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
    private mutating func establishChild(_ payloads: [Payload], at now: Instant) throws(Choice.Fault) {
        guard let proposals = payloads.proposals, let local = payloads.initiatorSelectors,
            let remote = payloads.responderSelectors, !local.isEmpty, !remote.isEmpty, let keys = ike.keys
        else { throw Choice.Fault(words: "neither a Child SA nor the reason why there is none") }
        let choice = try Choice.esp(proposals, of: firstChildOffers)
        try checkSelectors(local, remote, within: nil)
        let made: ChildSA
        do {
            let material = try Derivation.childMaterial(
                keys.suite.prf, derivation: keys.derivation, initiatorNonce: initiation.nonce,
                responderNonce: initiation.responderNonce, count: ChildSA.materialLength(choice))
            made = try ChildSA(
                choice, inboundSPI: offeredSPI, material: material, isInitiator: true, localSelectors: local, remoteSelectors: remote,
                replayWindow: settings.replayWindow, keyLog: settings.childKeyLog)
        } catch {
            throw Choice.Fault(words: "cryptography failed: \(error)")
        }
        children.append(made)
        use(made, at: now)
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
