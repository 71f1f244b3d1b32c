"""Rule make_bank: draw one bank of synthetic images from a trained generator."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.bank.generate import BankInputs, make_bank
from rarecxr.bank.pairs import PairInputs, make_paired_bank
from rarecxr.core.devices import keep_precision_in
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.place import Place

keep_precision_in(snakemake.params.precision.folder)

inputs, params = snakemake.input, snakemake.params
how = {
    "bank": snakemake.output.bank,
    "settings": BankSettings.of(params.bank, params.without_effect),
    "place": Place.of(dict(snakemake.wildcards.items()), params.study, params.finding),
    "code": params.code,
}
if inputs.paired_with:
    make_paired_bank(PairInputs(inputs.generator, inputs.training_set, *inputs.paired_with), **how)
else:
    make_bank(
        BankInputs(
            generator=inputs.generator,
            training_set=inputs.training_set,
            sizes_from=list(inputs.sizes_from),
            labels_from=inputs.labels_from or None,
            features=inputs.features or None,
            weights_dir=params.features.weights_dir,
        ),
        **how,
    )
