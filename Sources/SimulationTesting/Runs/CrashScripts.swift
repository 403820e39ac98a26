extension CrashScript {
    /// Every kind of work, beside a writer or a collector.
    package static let all: [CrashScript] = {
        let history: [SimulatedAction] = [
            .snapshot(source: 1), .snapshot(source: 2), .pushLog(first: 0, count: 1), .snapshot(source: 1), .snapshot(source: 1),
        ]
        let garbage = history + [.forget(.primary, count: 2)]
        let prune = SimulatedAction.prune(SimulatedAction.Pruning())
        var keeping = SimulatedAction.Pruning()
        keeping.maximumUnused = 100
        var ending = SimulatedAction.Pruning()
        ending.endsRotation = true
        func pruned(_ site: SimulatedAction.Site) -> SimulatedAction {
            var pruning = SimulatedAction.Pruning()
            pruning.site = site
            return .prune(pruning)
        }
        let copied = history + [.copy(.twin), .copy(.other), .snapshot(source: 1)]
        return [
            CrashScript(name: "snapshot beside snapshot", before: history, victim: .snapshot(source: 1), beside: [.snapshot(source: 2)]),
            CrashScript(name: "snapshot beside prune", before: garbage, victim: .snapshot(source: 1), beside: [prune, prune]),
            CrashScript(name: "first snapshot beside snapshot", before: [], victim: .snapshot(source: 1), beside: [.snapshot(source: 2), prune]),
            CrashScript(name: "push beside push", before: history, victim: .pushLog(first: 1, count: 3), beside: [.pushLog(first: 2, count: 1)]),
            CrashScript(name: "push beside prune", before: garbage, victim: .pushLog(first: 1, count: 1), beside: [prune]),
            CrashScript(name: "forget beside snapshot", before: history, victim: .forget(.primary, count: 2), beside: [.snapshot(source: 1)]),
            CrashScript(name: "prune beside snapshot", before: garbage, victim: prune, beside: [.snapshot(source: 1)]),
            CrashScript(name: "prune beside two snapshots", before: garbage, victim: prune, beside: [.snapshot(source: 1), .snapshot(source: 2)]),
            CrashScript(name: "prune that rewrites nothing beside snapshot", before: garbage, victim: .prune(keeping), beside: [.snapshot(source: 2)]),
            CrashScript(name: "prune beside prune", before: garbage, victim: prune, beside: [prune]),
            CrashScript(name: "prune beside forget and prune", before: garbage, victim: prune, beside: [.forget(.primary, count: 1), prune]),
            CrashScript(
                name: "second prune beside snapshot", before: garbage + [prune, .snapshot(source: 1), .forget(.primary, count: 1)], victim: prune,
                beside: [.snapshot(source: 1)]),
            CrashScript(name: "copy to a twin beside snapshot", before: history, victim: .copy(.twin), beside: [.snapshot(source: 1)]),
            CrashScript(name: "copy to a twin beside prunes", before: copied + [.forget(.twin, count: 2)], victim: .copy(.twin), beside: [pruned(.twin), prune]),
            CrashScript(name: "copy to another beside snapshot", before: history, victim: .copy(.other), beside: [.snapshot(source: 1)]),
            CrashScript(name: "copy to another beside prunes", before: copied + [.forget(.other, count: 2)], victim: .copy(.other), beside: [pruned(.other), prune]),
            CrashScript(
                name: "copy to a twin by a reader beside a prune", before: copied + [.forget(.primary, count: 3)], victim: .copy(.twin, readsOnly: true), beside: [prune, .copy(.twin)]),
            CrashScript(
                name: "copy to another by a reader beside a prune", before: copied + [.forget(.primary, count: 3)], victim: .copy(.other, readsOnly: true),
                beside: [prune, .copy(.other)]),
            CrashScript(name: "key rotation beside snapshot", before: history, victim: .rotateKeys, beside: [.snapshot(source: 1)]),
            CrashScript(name: "key rotation beside key rotation", before: history, victim: .rotateKeys, beside: [.rotateKeys, .snapshot(source: 2)]),
            CrashScript(name: "end of a rotation beside snapshot", before: garbage + [.rotateKeys], victim: .prune(ending), beside: [.snapshot(source: 1)]),
            CrashScript(name: "repair of the index beside snapshot", before: garbage, victim: .repairIndex(.primary), beside: [.snapshot(source: 1)]),
            CrashScript(name: "repair of the index beside prune", before: garbage, victim: .repairIndex(.primary), beside: [prune]),
            CrashScript(name: "repair of packs beside snapshot", before: garbage, victim: .repairPacks(.primary), beside: [.snapshot(source: 1)]),
            CrashScript(name: "check beside prune", before: garbage, victim: .check(.primary), beside: [prune]),
            CrashScript(name: "snapshot beside repair of the index", before: history, victim: .snapshot(source: 1), beside: [.repairIndex(.primary)]),
            CrashScript(name: "snapshot beside key rotation", before: history, victim: .snapshot(source: 1), beside: [.rotateKeys, .prune(ending)]),
        ]
    }()
}
