package import Logging
package import ManagementAPI
internal import Synchronization
package import Wire

/// A login's story in the log, one line per event: session, identity, address and reason are fields, so that one session's
/// lines are found by its id. Texts that came from the client are given escaped or raw; the log escapes what is left.
package struct EventLog: Sendable {
    private let logger: Logger
    /// Strangers cause lines; they get only so many.
    private let strangers: LogBudget

    package init(_ logger: Logger) {
        self.logger = logger
        strangers = LogBudget(perSecond: 50, burst: 200)
    }

    /// Who and where a session is, as far as it is known when an event is logged.
    package struct Subject: Sendable {
        package var session: String
        package var gateway: String
        /// IDi, escaped; nil until it came.
        package var identity: String?
        /// The client's outer address.
        package var remote: Endpoint
        /// Inner addresses, once assigned.
        package var addresses: [IPAddress]

        package init(session: String, gateway: String, identity: String? = nil, remote: Endpoint, addresses: [IPAddress] = []) {
            self.session = session
            self.gateway = gateway
            self.identity = identity
            self.remote = remote
            self.addresses = addresses
        }

        var metadata: Logger.Metadata {
            var fields: Logger.Metadata = ["session": "\(session)", "gateway": "\(gateway)", "remote": "\(remote)"]
            if let identity { fields["identity"] = "\(identity)" }
            if !addresses.isEmpty { fields["address"] = .array(addresses.map { "\($0)" }) }
            return fields
        }
    }

    /// The client's IKE_SA_INIT is accepted.
    package func loginStarted(_ subject: @autoclosure () -> Subject, algorithms: @autoclosure () -> String) {
        guard writes(.info) else { return }
        fromStranger(.info, "login started", "login-started", subject(), ["ike": "\(algorithms())"])
    }

    /// The client said who it is and proved it; `method` is such as `psk`.
    package func authenticated(_ subject: @autoclosure () -> Subject, name: String, method: String) {
        guard writes(.info) else { return }
        write(.info, "client authenticated", "authenticated", subject(), ["name": "\(name)", "method": "\(method)"])
    }

    /// The session stands: address given, Child SA installed.
    package func established(
        _ subject: @autoclosure () -> Subject, name: String, service: String, interface: String, algorithms: @autoclosure () -> String
    ) {
        guard writes(.info) else { return }
        write(
            .info, "session established", "established", subject(),
            ["name": "\(name)", "service": "\(service)", "interface": "\(interface)", "esp": "\(algorithms())"])
    }

    /// The client is refused; `cause` is one plain sentence that tells the operator what to look at.
    /// `name`: what it said in EAP, if it did.
    package func refused(_ subject: Subject, name: String? = nil, cause: String) {
        var fields: Logger.Metadata = ["reason": "\(cause)"]
        fields["name"] = name.map { "\($0)" }
        fromStranger(.notice, "client refused: \(cause)", "refused", subject, fields)
    }

    /// The session ended; `reason` is such as `client left`, `dead peer`, `cleared by operator`.
    package func closed(
        _ subject: @autoclosure () -> Subject, name: String, reason: String, seconds: UInt64, octetsIn: UInt64, octetsOut: UInt64
    ) {
        guard writes(.info) else { return }
        write(
            .info, "session closed: \(reason)", "closed", subject(),
            [
                "name": "\(name)", "reason": "\(reason)", "seconds": "\(seconds)", "octets-in": "\(octetsIn)",
                "octets-out": "\(octetsOut)",
            ])
    }

    /// Another Child SA of a session is there: a rekey, or one more.
    package func childEstablished(_ subject: Subject, inboundSPI: UInt32, outboundSPI: UInt32, algorithms: String) {
        write(
            .info, "child SA established", "child-established", subject,
            ["spi-in": "\(SPIText.of(inboundSPI))", "spi-out": "\(SPIText.of(outboundSPI))", "esp": "\(algorithms)"])
    }

    /// Something of ours went wrong for a session; the text says what.
    package func failed(_ subject: Subject, _ text: String) {
        write(.error, "\(text)", "failed", subject, [:])
    }

    /// The IKE SA has new keys and SPIs.
    package func rekeyed(_ subject: Subject) {
        write(.info, "IKE SA rekeyed", "rekeyed", subject, [:])
    }

    /// The client's outer address changed.
    package func moved(_ subject: Subject, from: Endpoint) {
        write(.info, "client moved", "moved", subject, ["from": "\(from)"])
    }

    /// The client gets no address.
    package func poolExhausted(_ subject: Subject, pool: String) {
        fromStranger(
            .warning, "no inner address left: enlarge the pool or shorten its lease-hold-time", "pool-exhausted", subject,
            ["pool": "\(pool)"])
    }

    /// What the kernel does not do with many packets in one; with a worker: does no more for that one.
    package func offloadMissing(_ text: String, worker: Int? = nil) {
        logger.notice("\(worker.map { "worker \($0): " } ?? "")\(text)", metadata: ["event": "offload-missing"])
    }

    /// An operator ended sessions.
    package func cleared(_ selector: SessionSelector, count: Int) {
        logger.notice("sessions cleared by operator", metadata: ["event": "cleared", "match": "\(selector.text)", "count": "\(count)"])
    }

    /// A reload was asked for; problems get a line each.
    package func reloaded(_ answer: ReloadAnswer) {
        for problem in answer.problems {
            logger.log(
                level: problem.severity == .error ? .error : .warning, "\(problem.description)",
                metadata: ["event": "configuration-problem", "key": "\(problem.key)"])
        }
        if answer.applied {
            let keys = Logger.MetadataValue.array(answer.needRestart.map { "\($0)" })
            logger.notice("configuration reloaded", metadata: ["event": "reloaded", "need-restart": keys])
        } else {
            logger.error("the new configuration is refused, nothing has changed", metadata: ["event": "reload-refused"])
        }
    }

    /// A certificate ends soon, or has ended; `subject` is where the configuration has it.
    package func certificateEnds(_ certificate: String, subject: String, end: String, days: Int64, hasExpired: Bool) {
        let when = hasExpired ? "expired at \(end)" : days < 2 ? "ends within two days, at \(end)" : "ends in \(days) days, at \(end)"
        logger.log(
            level: hasExpired ? .error : .warning,
            "the certificate of \(subject) \(when): put another one into its file, then `ipsec-gwctl reload`",
            metadata: ["event": "certificate-ends", "subject": "\(subject)", "certificate": "\(certificate)", "end": "\(end)"])
    }

    /// What lines are made of costs more than they do: it is not made where they are not written.
    private func writes(_ level: Logger.Level) -> Bool { level >= logger.logLevel }

    private func fromStranger(
        _ level: Logger.Level, _ message: Logger.Message, _ event: String, _ subject: Subject, _ fields: Logger.Metadata
    ) {
        guard writes(level), let suppressed = strangers.take(at: .now) else { return }
        write(level, message, event, subject, suppressed == 0 ? fields : fields.merging(["suppressed": "\(suppressed)"]) { $1 })
    }

    private func write(
        _ level: Logger.Level, _ message: Logger.Message, _ event: String, _ subject: Subject, _ fields: Logger.Metadata
    ) {
        logger.log(level: level, message, metadata: subject.metadata.merging(fields.merging(["event": "\(event)"]) { $1 }) { $1 })
    }
}

/// How many lines strangers may cause: a bucket of tokens.
final class LogBudget: Sendable {
    private struct State {
        var tokens: Double
        var filled: ContinuousClock.Instant?
        var suppressed = 0
    }

    private let perSecond: Double
    private let burst: Double
    private let state: Mutex<State>

    init(perSecond: Double, burst: Double) {
        self.perSecond = perSecond
        self.burst = burst
        state = Mutex(State(tokens: burst))
    }

    /// Takes a token; returns how many lines went without one since the last, or nil when there is none now.
    func take(at now: ContinuousClock.Instant) -> Int? {
        state.withLock { state in
            if let filled = state.filled {
                let elapsed = (now - filled).components
                let seconds = Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
                state.tokens = min(burst, state.tokens + max(0, seconds) * perSecond)
            }
            state.filled = now
            guard state.tokens >= 1 else {
                state.suppressed += 1
                return nil
            }
            state.tokens -= 1
            defer { state.suppressed = 0 }
            return state.suppressed
        }
    }
}
