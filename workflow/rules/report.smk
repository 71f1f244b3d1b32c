# From the predictions of all runs to the answer: tables with intervals and verdicts, and the page.


rule check_leakage:
    """Look into all files for patients where they must not be; without this, no report."""
    input:
        **study_files(),
        **external_files(),
        **networks_of_external_tests(),
        **checked_gans(),
        notes=f"<dataset>/pixels_{DATASET.resolution}_notes.csv",
        validation_sets=PLAN.validation_sets(),
        bank=PLAN.files("bank", PLAN.banks(), ".h5"),
        model=PLAN.files("features", PLAN.choosing_cells(), "model.pt"),
        pretrained=PLAN.files("unlabelled", PLAN.pretrainings(), "model.pt"),
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
        gans=[{**gan, "parent": PLAN.parent(gan)} for gan in PLAN.gans()],
        banks=PLAN.banks(),
        features=PLAN.choosing_cells(),
        pretrainings=PLAN.pretrainings(),
        runs=PLAN.runs_with_additions(),
        external=list(PLAN.external),
        code=code("check_leakage.py"),
    script:
        "../scripts/check_leakage.py"


rule evaluate:
    """Measure all runs on the test patients: AUROC, intervals, changes, verdicts."""
    input:
        **study_files(),
        **external_files(),
        predictions=PLAN.files("run", PLAN.runs(), "predictions.parquet"),
        # Not read: no result is written of a study that leaks.
        leakage="<report>/leakage.csv",
    output:
        **tables("auc", "overall", "curves", "subgroups", "calibration", "counts"),
        **tables("patients", "sources", "runs", "dose", "ceiling", "worth"),
        **tables("external_overall", "external_subgroups"),
        summary=shown_table("summary", "summary, test set"),
        expert=shown_table("expert", "summary, expert labels"),
        external=shown_table("external", "summary, external test sets"),
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
        design=study_design(),
        statistics=settings("report")["statistics"],
        external=list(PLAN.external),
        code=code("evaluate.py"),
    script:
        "../scripts/evaluate.py"


rule make_report:
    """Write the report page and its figures."""
    input:
        **shown_gans(),
        tables=rules.evaluate.output,
        leakage="<report>/leakage.csv",
        notes=f"<dataset>/pixels_{DATASET.resolution}_notes.csv",
        published=own_file("config/published.csv"),
        templates=report_templates(),
        quality=PLAN.files("bank", PLAN.banks(), "_quality.json"),
        filter_leak=PLAN.filter_leaks(),
        maps=PLAN.maps(),
    output:
        page=shown("<report>/index.html", "Report", "page", page="report"),
        quality=shown_table("quality", "quality of the banks"),
        filters="<report>/filters.csv",
        alone="<report>/alone.csv",
        table="<report>/summary.txt",
        figures=shown_figures("<report>/figures"),
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
