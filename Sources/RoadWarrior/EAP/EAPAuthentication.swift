import GatewayCrypto
import IKEMessages
import Wire

/// IKE_AUTH with EAP, RFC 7296 section 2.16 and RFC 5998.
extension RoadWarrior {
    /// <--  HDR, SK {[IDr, [CERT...,] AUTH,] EAP}, until EAP-Success; then {[IDr,] AUTH, [CP,] SAr2, TSi, TSr}.
    mutating func receiveEAPResponse(_ payloads: [Payload], _ login: EAPLogin, at now: Instant, into outputs: inout [Output]) {
        if login.hasSucceeded { return finishEAP(payloads, login, at: now, into: &outputs) }
        guard let packet = payloads.eap else {
            guard let error = payloads.firstError else {
                return close(.violation("an IKE_AUTH response without EAP"), into: &outputs)
            }
            return refuse(.ikeAuth, error, into: &outputs)
        }
        var login = login
        if login.gateway == nil {
            guard let identity = payloads.responderIdentification else {
                return close(.violation("the first IKE_AUTH response has no IDr"), into: &outputs)
            }
            if let fault = firstFault(identity, payloads) { return distrust(fault, at: now, into: &outputs) }
            login.gateway = identity
            login.isGatewayProved = payloads.authentication != nil
        }
        switch packet.code {
        case 1: answer(packet, login, at: now, into: &outputs)
        case 3:
            if let fault = successFault(login) { return distrust(fault, at: now, into: &outputs) }
            prove(login, at: now, into: &outputs)
        case 4: close(.eapFailed, into: &outputs)
        default: close(.violation("an EAP-Response from the gateway"), into: &outputs)
        }
    }

    /// The gateway proves itself before EAP begins, unless we let EAP alone decide (RFC 5998).
    private func firstFault(_ identity: IdentificationPayload, _ payloads: [Payload]) -> String? {
        guard let authentication = payloads.authentication else {
            guard settings.allowsEAPOnly else { return "it sent no AUTH value before EAP" }
            return identityFault(identity)
        }
        return authenticationFault(identity, authentication, certificates: payloads.certificates)
    }

    /// Why an EAP-Success is not believed: SK_p, which stands in for an MSK, is known to whoever answered IKE_SA_INIT.
    private func successFault(_ login: EAPLogin) -> String? {
        guard login.method.acceptsSuccess else { return "EAP-Success before the method came to its end" }
        guard login.isGatewayProved || login.method.masterSessionKey != nil else { return "EAP made no key, and nothing else proves who it is" }
        return nil
    }

    private mutating func answer(_ packet: EAPPayload, _ login: EAPLogin, at now: Instant, into outputs: inout [Output]) {
        var login = login
        login.rounds += 1
        guard login.rounds <= EAPLogin.mostRounds else { return close(.violation("EAP without an end"), into: &outputs) }
        guard let response = login.method.respond(to: packet.octets), let payload = EAPPayload(response) else {
            guard let fault = login.method.fault else { return close(.violation("an EAP-Request that has no answer"), into: &outputs) }
            guard fault != .serverNotAuthenticated else { return distrust(fault.words, at: now, into: &outputs) }
            return close(.violation(fault.words), into: &outputs)
        }
        eap = login
        ask(.ikeAuth, [.eap(payload)], for: .authentication, at: now, into: &outputs)
    }

    /// HDR, SK {AUTH}  -->  by the MSK, or by SK_pi where the method makes none.
    private mutating func prove(_ login: EAPLogin, at now: Instant, into outputs: inout [Output]) {
        var login = login
        login.hasSucceeded = true
        eap = login
        do {
            guard let keys = ike.keys else { throw CryptoError.unsupported }
            let value = try sharedKeyValue(
                message: initiation.signed, otherNonce: initiation.responderNonce, identity: settings.identity, ours: true,
                key: login.method.masterSessionKey ?? keys.initiatorIdentity.exposed())
            ask(
                .ikeAuth, [.authentication(AuthenticationPayload(method: .sharedKey, data: value))], for: .authentication, at: now,
                into: &outputs)
        } catch {
            close(.cryptography(error as? CryptoError ?? .library), into: &outputs)
        }
    }

    private mutating func finishEAP(_ payloads: [Payload], _ login: EAPLogin, at now: Instant, into outputs: inout [Output]) {
        guard let identity = login.gateway, let authentication = payloads.authentication else {
            guard let error = payloads.firstError else {
                return close(.violation("an IKE_AUTH response without AUTH"), into: &outputs)
            }
            return refuse(.ikeAuth, error, into: &outputs)
        }
        if let again = payloads.responderIdentification, again != identity {
            return distrust("it says it is \(again.words) after it was \(identity.words)", at: now, into: &outputs)
        }
        let key = login.method.masterSessionKey ?? ike.keys?.responderIdentity.exposed() ?? []
        if let fault = sharedKeyFault(identity, authentication, key: key) { return distrust(fault, at: now, into: &outputs) }
        eap = nil
        stand(identity, payloads, at: now, into: &outputs)
    }
}
