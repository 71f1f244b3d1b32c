# Resume files of trainings lie outside the declared outputs and stay until they are removed here.


rule clean_states:
    """Remove the resume files of trainings that are done; nothing is trained for it."""
    log:
        "<logs>/clean_states.log",
    localrule: True
    conda:
        "../../envs/torch.yaml"
    params:
        states=training_states,
        code=code("clean_states.py"),
    script:
        "../scripts/clean_states.py"
