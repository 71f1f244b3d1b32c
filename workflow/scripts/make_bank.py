"""Rule make_bank: draw one bank of synthetic images from a trained generator."""

from rarecxr.core.job_log import log_to

log_to(snakemake.log[0])

from rarecxr.bank.generate import BankInputs, make_bank
from rarecxr.study.configuration.bank import BankSettings
from rarecxr.study.place import Place

params = snakemake.params
make_bank(
    BankInputs(
        generator=snakemake.input.generator,
        training_set=snakemake.input.training_set,
        sizes_from=list(snakemake.input.sizes_from),
        labels_from=snakemake.input.labels_from or None,
        features=snakemake.input.features or None,
        weights_dir=params.features.weights_dir,
    ),
    bank=snakemake.output.bank,
    settings=BankSettings.of(params.bank, params.without_effect),
    place=Place.of(dict(snakemake.wildcards.items()), params.study, params.finding),
    code=params.code,
)
