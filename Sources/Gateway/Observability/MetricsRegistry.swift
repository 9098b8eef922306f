package import CoreMetrics
internal import ManagementAPI
internal import Synchronization

/// All metrics of the process: a backend of swift-metrics, plus what is read at scrape time. Its text is served at `/metrics`.
/// Labels often carry what a peer said, so a metric keeps a limited number of label sets; what is beyond shares one series.
package final class MetricsRegistry: MetricsFactory, Sendable {
    /// Adds values that are read when somebody asks, such as gauges of the engine.
    package typealias Collector = @Sendable (inout Exposition) async -> Void

    /// One name with all its label sets.
    private struct Family {
        let kind: Exposition.Kind
        /// The label that it was made with.
        let label: String
        /// By rendered labels.
        var series: [String: any Instrument] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var helps: [String: String] = [:]
        var collectors: [Collector] = []
        /// Label sets and names that found no room.
        var overflows: UInt64 = 0
    }

    private let state = Mutex(State())
    private let seriesLimit: Int
    private let familyLimit: Int

    /// Room for `familyLimit` names with `seriesLimit` label sets each.
    package init(seriesLimit: Int = 200, familyLimit: Int = 1000) {
        self.seriesLimit = seriesLimit
        self.familyLimit = familyLimit
    }

    /// Sets the HELP text of a metric by the label that it was made with.
    package func describe(_ label: String, _ help: String) {
        state.withLock { $0.helps[label] = help }
    }

    /// Adds a collector; it runs on every scrape.
    package func register(_ collector: @escaping Collector) {
        state.withLock { $0.collectors.append(collector) }
    }

    /// The text of everything, sorted by name; `more` writes last.
    package func exposition(_ more: (inout Exposition) -> Void = { _ in }) async -> String {
        let collectors = state.withLock { $0.collectors }
        var exposition = Exposition()
        write(to: &exposition)
        ProcessMetrics.write(to: &exposition)
        for collector in collectors { await collector(&exposition) }
        more(&exposition)
        return exposition.text
    }

    private func write(to exposition: inout Exposition) {
        let (families, helps, overflows) = state.withLock { ($0.families, $0.helps, $0.overflows) }
        for (name, family) in families {
            for (labels, instrument) in family.series {
                instrument.write(name, labels: labels, help: helps[family.label] ?? "", to: &exposition)
            }
        }
        exposition.counter(
            "ipsec_gw_metrics_overflow_total", help: "Label sets and names that shared a series because there were too many.", overflows)
    }

    /// The instrument of a name and labels, made if need be. One that does not fit is not shown, but never nil.
    private func instrument<Made: Instrument>(_ label: String, _ dimensions: [(String, String)], _ make: () -> Made) -> Made {
        let detached = make()
        let name = MetricText.name(label, kind: detached.kind, unit: detached.unit)
        let labels = MetricText.labels(dimensions)
        return state.withLock { state in
            if state.families[name] == nil {
                guard state.families.count < familyLimit else {
                    state.overflows += 1
                    return detached
                }
                state.families[name] = Family(kind: detached.kind, label: label)
            }
            if let existing = state.families[name]?.series[labels] {
                if let made = existing as? Made { return made }
                state.overflows += 1
                return detached
            }
            guard state.families[name]?.kind == detached.kind else {
                state.overflows += 1
                return detached
            }
            var place = labels
            if state.families[name]?.series.count ?? 0 >= seriesLimit {
                state.overflows += 1
                place = MetricText.overflowLabels
                if let shared = state.families[name]?.series[place] as? Made { return shared }
            }
            state.families[name]?.series[place] = detached
            return detached
        }
    }

    private func forget(_ handler: AnyObject) {
        state.withLock { state in
            for (name, family) in state.families {
                guard let labels = family.series.first(where: { $0.value === handler })?.key, labels != MetricText.overflowLabels
                else { continue }
                state.families[name]?.series[labels] = nil
                if state.families[name]?.series.isEmpty == true { state.families[name] = nil }
            }
        }
    }
}

extension MetricsRegistry {
    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        instrument(label, dimensions) { CounterInstrument() }
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        instrument(label, dimensions) { GaugeInstrument() }
    }

    package func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        aggregate
            ? instrument(label, dimensions) { HistogramInstrument(bounds: HistogramInstrument.powersOfTen, unit: "") }
            : instrument(label, dimensions) { GaugeInstrument() }
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        instrument(label, dimensions) { HistogramInstrument(bounds: HistogramInstrument.seconds, unit: "seconds") }
    }

    package func destroyCounter(_ handler: any CounterHandler) { forget(handler) }
    package func destroyMeter(_ handler: any MeterHandler) { forget(handler) }
    package func destroyRecorder(_ handler: any RecorderHandler) { forget(handler) }
    package func destroyTimer(_ handler: any TimerHandler) { forget(handler) }
}
