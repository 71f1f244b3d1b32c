"""Tiny data sets in the layout of each publisher, with the images that the tables name."""

import gzip
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image


def grey(seed, size=(28, 24)):
    """A smooth random image (H, W) uint8, another one for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def write_text(path, lines):
    """Lines as a UTF-8 file, packed where the name ends with .gz."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_image(path, seed, bits=8, draw=grey):
    """A grey image of 8 or 16 bits in the format of its name; `draw` gives (H, W) uint8."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = draw(seed)
    Image.fromarray(pixels if bits == 8 else pixels.astype(np.uint16) * 16).save(path)


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)


def nih_line(patient, follow_up, labels, age="57", sex="M", view="PA"):
    """A line of NIH's list."""
    image = f"{patient:08d}_{follow_up:03d}.png"
    return f"{image},{labels},{follow_up},{patient},{age},{sex},{view},2682,2749,0.143,0.143"


def nih(root, lines, tested=(), draw=grey):
    """ChestX-ray14: the list, the archives as they unpack, and the official test set."""
    write_text(Path(root, "Data_Entry_2017_v2020.csv"), [NIH_HEADER, *lines])
    for number, line in enumerate(lines):
        name = line.partition(",")[0]
        write_image(Path(root, f"images_{number % 3 + 1:03d}/images", name), number, draw=draw)
    if tested:
        write_text(Path(root, "test_list.txt"), tested)
    return root


def mimic(root, images, labels=None, draw=grey):
    """MIMIC-CXR-JPG: three packed tables, and images (patient, study, name, view, split).

    `labels` has by study the texts of Fracture, No Finding and Pneumonia.
    """
    metadata = ["dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows"]
    split = ["dicom_id,study_id,subject_id,split"]
    for number, (patient, study, name, view, part) in enumerate(images):
        metadata.append(f'{name},{patient},{study},"CHEST (PA, LAT)",{view},3056')
        split.append(f"{name},{study},{patient},{part}")
        folder = Path(root, f"files/p{str(patient)[:2]}/p{patient}/s{study}")
        write_image(folder / f"{name}.jpg", number, draw=draw)
    studies = {study: patient for patient, study, *_ in images}
    labels = labels or dict.fromkeys(studies, "1.0,,0.0")
    table = ["subject_id,study_id,Fracture,No Finding,Pneumonia"]
    table += [f"{studies.get(study, 1)},{study},{texts}" for study, texts in labels.items()]
    release = "mimic-cxr-2.0.0"
    write_text(Path(root, f"{release}-metadata.csv.gz"), metadata)
    write_text(Path(root, f"{release}-split.csv.gz"), split)
    write_text(Path(root, f"{release}-chexpert.csv.gz"), table)
    return root


PADCHEST_HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,"
    "ViewPosition_DICOM,Projection,Report,Labels"
)


def padchest_line(number, patient, labels, folder=0, birth="1946.0", sex="F", view="PA"):
    """A line of PadChest's table; ids are long numbers or hold letters."""
    image = f"2164868404209{number:04d}_{patient[:4]}-{number}.png"
    return (
        f"{number},{image},{folder},20140915,st{number}x,{patient},{birth},{sex},POSTERO,{view},"
        f'"cambio pulmonar, cronico","{labels}"'
    )


def padchest(root, lines, draw=grey):
    """PadChest: one table and 16-bit PNG files in numbered folders."""
    name = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
    write_text(Path(root, name), [PADCHEST_HEADER, *lines])
    for number, line in enumerate(lines):
        _, image, folder, *_ = line.split(",")
        write_image(Path(root, folder, image), number, bits=16, draw=draw)
    return root


VINDR = ("Aortic enlargement", "Nodule/Mass", "Rib fracture")


def vindr(root, votes, consensus, draw=grey):
    """VinDr-CXR: readers' votes, their consensus, and DICOM files.

    Args:
        root: the data set's folder.
        votes: by name of a training image one text of `VINDR`'s votes for each reader.
        consensus: by name of a test image the text of the consensus.
    """
    train = [f"image_id,rad_id,{','.join(VINDR)},Other diseases,No finding"]
    test = [f"image_id,{','.join(VINDR)},Other disease,No finding"]
    for image, readers in votes.items():
        for reader, text in enumerate(readers):
            train.append(f"{image},R{reader + 1},{text},0,{int('1' not in text)}")
    for image, text in consensus.items():
        test.append(f"{image},{text},0,{int('1' not in text)}")
    write_text(Path(root, "annotations/image_labels_train.csv"), train)
    write_text(Path(root, "annotations/image_labels_test.csv"), test)
    for number, (folder, image) in enumerate(
        [*(("train", image) for image in votes), *(("test", image) for image in consensus)]
    ):
        path = Path(root, folder, f"{image}.dicom")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom(draw(number).astype(np.uint16) * 16, 12, kind="MONOCHROME1"))
    return root


def dicom(pixels, bits=12, kind="MONOCHROME2", syntax=None, packed=None, **elements):
    """A DICOM file's bytes from stored values (H, W) uint16; `packed` are compressed pixels."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax or ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation, dataset.SamplesPerPixel = 0, 1
    dataset.PhotometricInterpretation = kind
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.PixelData = encapsulate([packed]) if packed else pixels.astype("<u2").tobytes()
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


PLUS_HEADER = (
    "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,"
    "report,age,sex,split"
)


def chexpert_plus(root, images, labels=None, draw=grey):
    """CheXpert Plus: the table with reports, labels as JSON lines, PNG files below PNG/.

    Args:
        root: the data set's folder.
        images: (part, patient, study, view) of each image; views are AP, PA and Lateral.
        labels: by number of an image its labels; Fracture by turns without.
    """
    table, objects = [PLUS_HEADER], []
    for number, (part, patient, study, view) in enumerate(images):
        side = "Lateral" if view == "Lateral" else "Frontal"
        stem = f"{part}/patient{patient:05d}/study{study}/view1_{side.lower()}"
        direction = "" if view == "Lateral" else view
        report = f'"NARRATIVE:\n1. No ""acute"" change,\n\n2. see {stem}.jpg, please"'
        table.append(
            f"{stem}.jpg,{stem}.dcm,{side},{direction},patient{patient:05d},{study},{report},"
            f"{40 + number % 50},Female,{part}"
        )
        of_image = {"Fracture": float(number % 2), "Pneumonia": None, "Edema": -1.0}
        of_image = (labels or {}).get(number, of_image)
        objects.append(json.dumps({"path_to_image": f"{stem}.jpg", **of_image}))
        write_image(Path(root, "PNG", f"{stem}.png"), number, draw=draw)
    write_text(Path(root, "df_chexpert_plus_240401.csv"), table)
    write_text(Path(root, "impression_fixed.json"), objects)
    return root
