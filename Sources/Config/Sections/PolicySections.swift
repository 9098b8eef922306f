import ESP
import IKE
import Wire

/// `ike-policy`, `tunnel-template`, `ts-list`.
extension Draft {
    func readPolicies(_ value: Value?) {
        policies.read(ids: value, max: 2048) { id, value in
            value.section { readPolicy(id, $0) }
        }
    }

    private func readPolicy(_ id: Int, _ section: Section) -> IKEPolicy {
        var policy = IKEPolicy(id: id)
        policy.transforms = DefaultProposals.ike.compactMap { $0.limited(to: capabilities) }
        if let list = section["ike-transform"]?.list(1, max: 16) {
            policy.transforms = list.compactMap { resolve($0, in: ikeTransforms, from: section.path) }
        }
        policy.ipsecLifetime = section["ipsec-lifetime"].flatMap(ipsecLifetime) ?? policy.ipsecLifetime
        if policy.transforms.contains(where: { $0.lifetime < policy.ipsecLifetime * 3 }) {
            (section["ipsec-lifetime"] ?? section["ike-transform"])?.warn(
                found: "an ipsec-lifetime of \(policy.ipsecLifetime.components.seconds) s",
                allowed: "at most a third of isakmp-lifetime")
        }
        policy.matchPeerIDToCertificate = section["match-peer-id-to-cert"]?.boolean() ?? true
        section["ike-version-2"]?.section { readVersion2($0, into: &policy) }
        section["nat-traversal"]?.section { nat in
            if let force = nat["force"] {
                policy.natTraversal.force = force.boolean() ?? true
                if !policy.natTraversal.force { force.uses(.nativeESP) }
            }
            if let interval = nat["keep-alive-interval"] {
                policy.natTraversal.keepAliveInterval = interval.seconds(20...600)
                interval.uses(.keepAlive)
            }
        }
        section["dpd"]?.section { dpd in
            var settings = IKEPolicy.DeadPeerDetection()
            settings.interval = dpd["interval"]?.seconds(10...300) ?? settings.interval
            settings.maximumRetries = dpd["max-retries"]?.integer(2...5) ?? settings.maximumRetries
            settings.replyOnly = dpd["reply-only"]?.boolean() ?? false
            policy.deadPeerDetection = dpd["admin-state"]?.isEnabled() == false ? nil : settings
        }
        section["half-open"]?.section { half in
            let settings = policy.halfOpen
            policy.halfOpen.cookieThreshold = half["cookie-threshold"]?.integer(0...1_000_000) ?? settings.cookieThreshold
            policy.halfOpen.perAddress = half["per-address"]?.integer(1...65_535) ?? settings.perAddress
            policy.halfOpen.maximum = half["maximum"]?.integer(1...1_000_000) ?? settings.maximum
        }
        if let limit = section["limit-init-exchange"] {
            limit.uses(.initExchangeLimit)
            limit.section { limit in
                policy.initExchangeLimit.isEnabled = limit["admin-state"]?.isEnabled() ?? true
                policy.initExchangeLimit.reducedTimeout = limit["reduced-max-exchange-timeout"]?.seconds(2...60) ?? .seconds(2)
            }
        }
        if let lockout = section["lockout"] {
            lockout.uses(.lockout)
            lockout.section { readLockout($0, into: &policy) }
        }
        section["relay-unsolicited-cfg-attribute"]?.section { relay in
            policy.relayUnsolicited.ip4Netmask = relay["internal-ip4-netmask"]?.boolean() ?? false
            policy.relayUnsolicited.ip4DNS = relay["internal-ip4-dns"]?.boolean() ?? false
            policy.relayUnsolicited.ip6DNS = relay["internal-ip6-dns"]?.boolean() ?? false
        }
        if let required = section["ppk-required"] {
            policy.requiresPostquantumKey = required.boolean() ?? false
            if policy.requiresPostquantumKey { required.uses(.postquantumKeys) }
        }
        return policy
    }

    private func readLockout(_ section: Section, into policy: inout IKEPolicy) {
        var lockout = IKEPolicy.Lockout()
        lockout.failedAttempts = section["failed-attempts"]?.integer(1...64) ?? lockout.failedAttempts
        lockout.duration = section["duration"]?.minutes(1...60) ?? lockout.duration
        if let block = section["block"] {
            lockout.block = block.scalar == "infinite" ? nil : block.minutes(1...1440, also: "infinite") ?? lockout.block
        }
        lockout.maximumPortsPerAddress = section["max-port-per-ip"]?.integer(1...32_000) ?? lockout.maximumPortsPerAddress
        policy.lockout = section["admin-state"]?.isEnabled() == false ? nil : lockout
    }

    private func readVersion2(_ section: Section, into policy: inout IKEPolicy) {
        var authentication = IKEPolicy.Authentication()
        let method = section["auth-method"]
        authentication.method = method?.choice() ?? .psk
        let own = section["own-auth-method"]
        authentication.own = own?.choice() ?? .symmetric
        authentication.autoEAP = section["auto-eap-method"]?.choice() ?? .certificate
        authentication.ownAutoEAP = section["own-auto-eap-method"]?.choice() ?? .certificate
        authentication.eapIdentity = section["eap-identity"]?.choice() ?? .auto
        authentication.allowsNonKeyingEAP = section["allow-non-keying-eap"]?.boolean() ?? false
        authentication.allowsSHA1Signature = section["allow-sha1-signature"]?.boolean() ?? true
        authentication.sendsIDrAfterEAP = section["send-idr-after-eap-success"]?.boolean() ?? true
        if let lifetime = section["auth-lifetime"] {
            authentication.lifetime = lifetime.seconds(60...31_536_000)
            lifetime.uses(.authenticationLifetime)
        }
        policy.authentication = authentication
        if let fragment = section["ikev2-fragment"] {
            fragment.uses(.fragmentation)
            fragment.section { fragment in
                policy.fragmentation.mtu = fragment["mtu"]?.integer(512...9000) ?? policy.fragmentation.mtu
                policy.fragmentation.reassemblyTimeout = fragment["reassembly-timeout"]?.seconds(1...30) ?? .seconds(2)
            }
        }
        if authentication.method.hasEAP { method?.uses(.eap) }
        if authentication.method.asksRADIUS { method?.uses(.radiusAuthentication) }
        if policy.acceptsCertificate { method?.uses(.certificates) }
        if policy.signs { (own ?? method)?.uses(.certificates) }
        if authentication.own == .eapOnly, !authentication.method.hasEAP {
            own?.refuse(allowed: "symmetric, psk, cert where auth-method is \(authentication.method.rawValue)")
        }
        if authentication.own == .psk, authentication.method.hasEAP {
            own?.warn(found: own?.found ?? "", allowed: "cert with EAP: RFC 7296 2.16 wants a signature of the gateway")
        }
        if authentication.allowsNonKeyingEAP {
            section["allow-non-keying-eap"]?.warn(found: "\"true\"", allowed: "false: such methods do not bind the tunnel to the login")
        }
    }

    func readTemplates(_ value: Value?) {
        templates.read(ids: value, max: 2048) { id, value in
            value.section { readTemplate(id, $0) }
        }
        for template in templates.objects { configuration.templates[template.template.id] = template }
    }

    private func readTemplate(_ id: Int, _ section: Section) -> SessionTemplate {
        var template = TunnelTemplate(id: id)
        var transforms = DefaultProposals.ipsec.compactMap { $0.limited(to: capabilities) }
        if let list = section["ipsec-transform"]?.list(1, max: 16) {
            transforms = list.compactMap { resolve($0, in: ipsecTransforms, from: section.path) }
        } else if section["ipsec-transform"] == nil {
            reader.report(
                .warning, at: section.position, section.path + ".ipsec-transform",
                found: "nothing, hence the default proposals",
                allowed: "as it is; the last of them has HMAC-SHA1-96, for Windows, which offers nothing better by default")
        }
        template.replayWindow = section["replay-window"]?.integer(of: TunnelTemplate.replayWindows) ?? template.replayWindow
        template.ipMTU = section["ip-mtu"]?.integer(512...9000) ?? template.ipMTU
        if let outer = section["encapsulated-ip-mtu"] {
            template.encapsulatedIPMTU = outer.integer(512...9000)
            outer.uses(.outerFragmentation)
        }
        template.propagatesPathMTU = section["propagate-pmtu"]?.boolean() ?? template.propagatesPathMTU
        template.pathMTUAging = section["pmtu-discovery-aging"]?.seconds(60...3600) ?? template.pathMTUAging
        if let dscp = section["dscp"], dscp.scalar != "copy" { template.dscp = dscp.integer(0...63, also: "copy") }
        template.copiesTrafficClassUponDecapsulation = section["copy-traffic-class-upon-decapsulation"]?.boolean() ?? false
        template.clearDFBit = section["clear-df-bit"]?.boolean() ?? false
        template.privateTCPMSSAdjust = section["private-tcp-mss-adjust"]?.integer(512...9000)
        template.fragmentationRequired = messageRate(section["icmp-generation"], "frag-required")
        template.packetTooBig = messageRate(section["icmp6-generation"], "pkt-too-big")
        if let list = section["ppk-list"] {
            list.uses(.postquantumKeys)
            _ = list.name()
        }
        return SessionTemplate(template: template, transforms: transforms)
    }

    private func messageRate(_ value: Value?, _ key: String) -> TunnelTemplate.MessageRate {
        var rate = TunnelTemplate.MessageRate()
        value?.section { section in
            section[key]?.section { section in
                rate.isEnabled = section["admin-state"]?.isEnabled() ?? true
                rate.interval = section["interval"]?.seconds(1...60) ?? rate.interval
                rate.messageCount = section["message-count"]?.integer(10...1000) ?? rate.messageCount
            }
        }
        return rate
    }
}

extension IKETransform {
    /// Without what this version cannot do; nil when nothing is left.
    func limited(to capabilities: Capabilities) -> IKETransform? {
        var transform = self
        transform.encryption.removeAll { !capabilities.ikeEncryption.contains($0) }
        transform.integrity.removeAll { !capabilities.ikeIntegrity.contains($0) }
        transform.pseudorandomFunctions.removeAll { !capabilities.pseudorandomFunctions.contains($0) }
        transform.keyExchange.removeAll { !capabilities.keyExchange.contains($0) }
        let isWhole = integrity.isEmpty || !transform.integrity.isEmpty
        return isWhole && !transform.encryption.isEmpty && !transform.pseudorandomFunctions.isEmpty
            && !transform.keyExchange.isEmpty ? transform : nil
    }
}

extension IPsecTransform {
    /// Without what this version cannot do; nil when nothing is left.
    func limited(to capabilities: Capabilities) -> IPsecTransform? {
        var transform = self
        transform.encryption.removeAll { !capabilities.espEncryption.contains($0) }
        transform.integrity.removeAll { !capabilities.espIntegrity.contains($0) }
        transform.keyExchange.removeAll { !capabilities.keyExchange.contains($0) }
        let isWhole = integrity.isEmpty || !transform.integrity.isEmpty
        return isWhole && !transform.encryption.isEmpty ? transform : nil
    }
}
