// Requests and answers of the HTTP API that are not reports.

/// Where the API's resources are. `v1` stays as long as no key changes its meaning.
package enum ManagementPath {
    package static let status = "/v1/status"
    package static let gateways = "/v1/gateways"
    /// `?match=TEXT` narrows.
    package static let sessions = "/v1/sessions"
    package static let clearSessions = "/v1/sessions/clear"
    package static let securityAssociations = "/v1/sas"
    package static let counters = "/v1/counters"
    package static let pools = "/v1/pools"
    package static let radius = "/v1/radius"
    package static let reload = "/v1/reload"
    package static let logLevel = "/v1/log-level"
    /// Prometheus text; not JSON.
    package static let metrics = "/metrics"
}

/// How much is logged; the names are those of `management: log: level`.
package enum LogLevel: String, Codable, CaseIterable, Sendable, Comparable {
    case trace, debug, info, notice, warning, error

    package static func < (left: LogLevel, right: LogLevel) -> Bool {
        (allCases.firstIndex(of: left) ?? 0) < (allCases.firstIndex(of: right) ?? 0)
    }
}

/// `POST /v1/sessions/clear`: every session that matches goes.
package struct ClearRequest: Codable, Equatable, Sendable {
    package var match: SessionSelector

    package init(match: SessionSelector) { self.match = match }
}

/// How many sessions went; sent once their Deletes are.
package struct ClearAnswer: Codable, Equatable, Sendable {
    package var cleared: Int

    package init(cleared: Int) { self.cleared = cleared }
}

/// `PUT /v1/log-level`, request and answer.
package struct LogLevelSetting: Codable, Equatable, Sendable {
    package var level: LogLevel

    package init(level: LogLevel) { self.level = level }
}

/// What became of a reload. A file with an error changes nothing.
package struct ReloadAnswer: Codable, Equatable, Sendable {
    package var applied: Bool
    /// Errors and warnings of the new file, in the order of its lines.
    package var problems: [ReloadProblem]
    /// Key paths whose change waits for a restart.
    package var needRestart: [String]

    package init(applied: Bool, problems: [ReloadProblem], needRestart: [String]) {
        self.applied = applied
        self.problems = problems
        self.needRestart = needRestart
    }
}

/// One problem of a configuration file; printed as `ipsec-gw check` prints it.
package struct ReloadProblem: Codable, Equatable, Sendable, CustomStringConvertible {
    package var severity: Severity
    package var file: String
    package var line: Int
    package var column: Int
    package var key: String
    /// `found ...; allowed ...`.
    package var message: String

    package enum Severity: String, Codable, Sendable { case error, warning }

    package init(severity: Severity, file: String, line: Int, column: Int, key: String, message: String) {
        self.severity = severity
        self.file = file
        self.line = line
        self.column = column
        self.key = key
        self.message = message
    }

    package var description: String { "\(file):\(line):\(column): \(severity.rawValue): \(key): \(message)" }
}

/// The body of every answer that is not a success.
package struct ErrorAnswer: Codable, Equatable, Sendable {
    /// What went wrong, one sentence without a full stop.
    package var error: String
    /// What to do next.
    package var hint: String

    package init(error: String, hint: String) {
        self.error = error
        self.hint = hint
    }
}
