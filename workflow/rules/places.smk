# Places, so that the rules stay short. Jobs' state (resume files) lies outside the declared outputs.
pathvars:
    phantom=f"resources/phantom/{STUDY}/Phantom-v1.0-small",
    dataset=f"results/{STUDY}/dataset",
    gan=f"results/{STUDY}/gan/{{recipe}}/{{fraction}}/draw{{draw}}/{{finding}}",
    bank=f"results/{STUDY}/bank/{{recipe}}/{{fraction}}/draw{{draw}}/{{finding}}",
    features=f"results/{STUDY}/features/{{fraction}}/draw{{draw}}",
    run=f"results/{STUDY}/classifier/{{arm}}/{{fraction}}/draw{{draw}}/seed{{seed}}",
    report=f"results/{STUDY}/report",
    logs=f"results/{STUDY}/logs",
    benchmarks=f"results/{STUDY}/benchmarks",
