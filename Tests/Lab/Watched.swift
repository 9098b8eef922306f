import Testing

extension Trait where Self == IssueHandlingTrait {
    /// Tells a scenario of a failed expectation, so that it prints its logs when it ends.
    package static var watched: Self {
        .compactMapIssues { issue in
            Scenario.current?.noteFailure()
            return issue
        }
    }
}
