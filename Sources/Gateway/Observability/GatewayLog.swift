internal import FoundationEssentials
package import Logging
package import ManagementAPI
internal import Synchronization

/// The daemon's log: where lines go, in which form, and from which level on. Loggers made here share the level.
package final class GatewayLog: Sendable {
    /// `management: log: format`.
    package enum Format: String, Sendable, CaseIterable { case text, json, journald }

    private let writer: LogWriter
    private let threshold: Atomic<Int>

    /// The log on standard error, or in the journal's own protocol with `.journald`; where there is no journal, text on standard error.
    package convenience init(format: Format, level: LogLevel) {
        self.init(sink: Self.sink(format, inJournal: StreamSink.standardErrorIsJournal), level: level)
    }

    init(sink: any LogSink, level: LogLevel, capacity: Int = 8192) {
        writer = LogWriter(sink: sink, capacity: capacity)
        threshold = Atomic(Self.rank(level))
    }

    /// From which level on lines are written; takes effect at once, in every logger.
    package var level: LogLevel {
        get { LogLevel.allCases[min(threshold.load(ordering: .relaxed), LogLevel.allCases.count - 1)] }
        set { threshold.store(Self.rank(newValue), ordering: .relaxed) }
    }

    /// A logger of this log.
    package func logger(_ label: String) -> Logger {
        Logger(label: label) { _ in GatewayLogHandler(log: self) }
    }

    /// Makes this the log of every library, once per process.
    package func bootstrap() {
        LoggingSystem.bootstrap { _ in GatewayLogHandler(log: self) }
    }

    /// Waits until what was logged is written: before the process ends.
    package func flush() { writer.flush() }

    /// Where lines of a form go, given whether standard error leads into the journal.
    static func sink(_ format: Format, inJournal: Bool, descriptor: CInt = 2) -> any LogSink {
        let text = StreamSink(descriptor: descriptor) { (inJournal ? $0.prefixed : $0.text) + "\n" }
        return switch format {
        case .json: StreamSink(descriptor: descriptor) { $0.json + "\n" }
        case .text: text
        case .journald: Journal(otherwise: text)
        }
    }

    func write(_ line: LogLine) { writer.write(line) }

    private static func rank(_ level: LogLevel) -> Int { LogLevel.allCases.firstIndex(of: level) ?? 0 }
}

extension LogLevel {
    /// swift-log's name of the level.
    var logging: Logger.Level {
        switch self {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}

/// The backend of swift-log.
struct GatewayLogHandler: LogHandler {
    private let log: GatewayLog
    /// Set by whoever wants one logger quieter or louder than the log.
    private var own: Logger.Level?
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    init(log: GatewayLog) { self.log = log }

    var logLevel: Logger.Level {
        get { own ?? log.level.logging }
        set { own = newValue }
    }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        if let provided = metadataProvider?.get() { all.merge(provided) { $1 } }
        if let own = event.metadata { all.merge(own) { $1 } }
        if let error = event.error { all["error"] = "\(error)" }
        log.write(LogLine(time: Date(), level: event.level, message: event.message.description, metadata: all))
    }
}
