/// When the link that deltas rest on is made anew.
///
/// At the bound of a chain, each new version of a content rests on the same older one, from which it drifts away: its deltas grow day by day.
/// A new link in between makes them small again, and costs a delta against what is below. How often to pay for it is the question of
/// how much to order at a time, where stock costs by the day and an order costs as a whole (F. W. Harris, "How many parts to make at once",
/// 1913). With deltas that grow by `unit` a day, the sum of what they cost beyond `unit` reaches the cost of the link, `below`, when
/// delta² = 2 × unit × below, and that is the best moment. A new link also makes the ones after it cheaper, so the factor is 1.5: with it, the sum
/// over 30 to 365 such days was lowest in a simulation, and within a tenth of the optimum over 30
/// (docs/adr/0007-short-chains-of-deltas.md).
enum ChainRenewal {
    /// Whether a delta has grown so much that what it rests on should be made anew. All in bytes as stored, up to 16 MiB.
    ///
    /// - Parameters:
    ///   - delta: what resting on the link costs.
    ///   - unit: what resting on the nearest version would cost: one day's change.
    ///   - below: what the link costs itself.
    static func isDue(delta: Int, unit: Int, below: Int) -> Bool { 2 * delta * delta > 3 * unit * below }
}
