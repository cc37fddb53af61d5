"""Kinds of attention, and what stands in its place: recurrent states, scans and convolutions.

A kind is a class in a file with its relatives: its dimensions, its matrices, what it keeps and what
it computes besides (``kind.AttentionKind``).
"""

from codesign.workload.attention.compressed import CompressedAttention as CompressedAttention
from codesign.workload.attention.compressed import Compression as Compression
from codesign.workload.attention.grouped import CrossAttention as CrossAttention
from codesign.workload.attention.grouped import GroupedAttention as GroupedAttention
from codesign.workload.attention.indexer import Indexer as Indexer
from codesign.workload.attention.kind import AttentionKind as AttentionKind
from codesign.workload.attention.latent import LatentAttention as LatentAttention
from codesign.workload.attention.recurrent import LinearAttention as LinearAttention
from codesign.workload.attention.recurrent import SelectiveScan as SelectiveScan
from codesign.workload.attention.recurrent import ShortConvolution as ShortConvolution
