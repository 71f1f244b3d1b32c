# From the predictions of all runs to the answer: tables with intervals and verdicts, and the page.


rule check_leakage:
    """Look into all files for patients where they must not be; without this, no report."""
    input:
        labels="<dataset>/labels.parquet",
        split="<dataset>/split.csv",
        draws=[f"<dataset>/draw{draw}.csv" for draw in PLAN.draws],
        rejected=f"<dataset>/pixels_{DATASET.resolution}_rejected.csv",
        notes=f"<dataset>/pixels_{DATASET.resolution}_notes.csv",
        training_set=PLAN.files("gan", PLAN.gans(), "training_set.h5"),
        generator=PLAN.files("gan", PLAN.gans(), "generator.pt"),
        metadata=PLAN.files("gan", PLAN.gans(), "generator.json"),
        validation_sets=PLAN.validation_sets(),
        bank=PLAN.files("bank", PLAN.banks(), ".h5"),
        model=PLAN.files("features", PLAN.choosing_cells(), "model.pt"),
        predictions=PLAN.files("run", PLAN.runs(), "predictions.parquet"),
    output:
        leakage="<report>/leakage.csv",
    log:
        "<logs>/check_leakage.log",
    benchmark:
        "<benchmarks>/check_leakage.tsv"
    conda:
        "../../envs/torch.yaml"
    resources:
        **asked("check_leakage"),
    params:
        gans=PLAN.gans(),
        banks=PLAN.banks(),
        features=PLAN.choosing_cells(),
        runs=PLAN.runs_with_additions(),
        code=code("check_leakage.py"),
    script:
        "../scripts/check_leakage.py"


rule evaluate:
    """Measure all runs on the test patients: AUROC, intervals, changes, verdicts."""
    input:
        labels="<dataset>/labels.parquet",
        split="<dataset>/split.csv",
        draws=[f"<dataset>/draw{draw}.csv" for draw in PLAN.draws],
        rejected=f"<dataset>/pixels_{DATASET.resolution}_rejected.csv",
        predictions=PLAN.files("run", PLAN.runs(), "predictions.parquet"),
        # Not read: no result is written of a study that leaks.
        leakage="<report>/leakage.csv",
    output:
        auc="<report>/auc.csv",
        summary=report(
            "<report>/summary.csv",
            category="Results",
            caption="../report/summary.rst",
            labels={"table": "summary, test set"},
        ),
        expert=report(
            "<report>/expert.csv",
            category="Results",
            caption="../report/expert.rst",
            labels={"table": "summary, expert labels"},
        ),
        overall="<report>/overall.csv",
        curves="<report>/curves.csv",
        subgroups="<report>/subgroups.csv",
        calibration="<report>/calibration.csv",
        counts="<report>/counts.csv",
        patients="<report>/patients.csv",
        sources="<report>/sources.csv",
        runs="<report>/runs.csv",
        dose="<report>/dose.csv",
        ceiling="<report>/ceiling.csv",
        worth="<report>/worth.csv",
    log:
        "<logs>/evaluate.log",
    benchmark:
        "<benchmarks>/evaluate.tsv"
    conda:
        "../../envs/data.yaml"
    threads: 2
    resources:
        **asked("evaluate"),
    params:
        runs=PLAN.runs(),
        doses={
            arm: PLAN.doses[arm] for arm in CONFIG.classifier.arms if arm in PLAN.doses
        },
        target_findings=PLAN.targets,
        statistics=settings("report")["statistics"],
        baseline=CONFIG.report.baseline,
        control=CONFIG.report.control,
        ceiling=ceiling_arm(),
        code=code("evaluate.py"),
    script:
        "../scripts/evaluate.py"


rule make_report:
    """Write the report page and its figures."""
    input:
        tables=rules.evaluate.output,
        leakage="<report>/leakage.csv",
        notes=f"<dataset>/pixels_{DATASET.resolution}_notes.csv",
        published=own_file("config/published.csv"),
        # Not Python, so no digest of the code sees them.
        templates=[
            own_file(f"workflow/scripts/rarecxr/report/templates/page.{kind}")
            for kind in ("css", "html.j2", "js")
        ],
        training=PLAN.files("gan", map(gan_of, PLAN.shown_banks()), "training.csv"),
        samples=PLAN.files("gan", map(gan_of, PLAN.shown_banks()), "samples.png"),
        sheet=PLAN.files("bank", PLAN.shown_banks(), "_sheet.npz"),
        quality=PLAN.files("bank", PLAN.banks(), "_quality.json"),
        filter_leak=PLAN.filter_leaks(),
    output:
        page=report(
            "<report>/index.html",
            category="Report",
            caption="../report/page.rst",
            labels={"page": "report"},
        ),
        quality=report(
            "<report>/quality.csv",
            category="Results",
            caption="../report/quality.rst",
            labels={"table": "quality of the banks"},
        ),
        filters="<report>/filters.csv",
        table="<report>/summary.txt",
        figures=report(
            directory("<report>/figures"),
            patterns=["{figure}.svg"],
            category="Figures",
            caption="../report/figures.rst",
            labels={"figure": "{figure}"},
        ),
    log:
        "<logs>/make_report.log",
    benchmark:
        "<benchmarks>/make_report.tsv"
    conda:
        "../../envs/data.yaml"
    resources:
        **asked("make_report"),
    params:
        gans=PLAN.shown_banks(),
        banks=PLAN.banks(),
        study=STUDY,
        settings=reported_settings(),
        code=code("make_report.py"),
    script:
        "../scripts/make_report.py"
